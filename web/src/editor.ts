// The workspace editor: CodeMirror with YAML, checked against the cluster's own OpenAPI as the learner types.

import { autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, foldGutter, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { linter, lintGutter, lintKeymap } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightSpecialChars, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { check, openapiPath, type OpenApi } from "./schema.ts";

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--code-key)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--code-value)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator, tags.meta], color: "var(--muted)" },
]);

export interface Options {
  place: HTMLElement;
  nonce: string;
  /** Where the cluster's OpenAPI documents are, with a slash at the end. */
  openapi: string;
  changed: () => void;
  save: () => void;
}

export class Editor {
  private readonly view: EditorView;
  private readonly language = new Compartment();
  private readonly writable = new Compartment();
  private readonly documents = new Map<string, Promise<OpenApi | null>>();
  private quiet = false;

  constructor(private readonly options: Options) {
    this.view = new EditorView({
      parent: options.place,
      state: EditorState.create({
        extensions: [
          EditorView.cspNonce.of(options.nonce),
          lineNumbers(), foldGutter(), lintGutter(), highlightSpecialChars(), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(),
          autocompletion(), highlightActiveLine(), highlightSelectionMatches(), indentUnit.of("  "), EditorState.tabSize.of(2), EditorView.lineWrapping,
          syntaxHighlighting(colours), this.language.of([]), this.writable.of([]),
          // Tab indents; Escape then Tab moves on, as CodeMirror's own keymap allows.
          keymap.of([{ key: "Mod-s", preventDefault: true, run: () => (options.save(), true) }, ...defaultKeymap, ...historyKeymap, ...searchKeymap, ...completionKeymap, ...lintKeymap, indentWithTab]),
          EditorView.contentAttributes.of({ tabindex: "0", "aria-label": "File content. Escape, then Tab, leaves the editor." }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged && !this.quiet) options.changed();
          }),
        ],
      }),
    });
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  open(name: string, text: string): void {
    const isYaml = /\.ya?ml$/.test(name);
    this.quiet = true;
    this.view.dispatch({
      changes: { from: 0, to: this.view.state.doc.length, insert: text },
      selection: { anchor: 0 },
      effects: this.language.reconfigure(isYaml ? [yaml(), linter((view) => this.lint(view), { delay: 400 })] : []),
    });
    this.quiet = false;
  }

  focus(): void {
    this.view.focus();
  }

  private async lint(view: EditorView) {
    const problems = await check(view.state.doc.toString(), (groupVersion) => this.document(groupVersion));
    const length = view.state.doc.length;
    return problems.map(({ from, to, severity, message }) => ({ from: Math.min(from, length), to: Math.min(to, length), severity, message }));
  }

  private document(groupVersion: string): Promise<OpenApi | null> {
    const known = this.documents.get(groupVersion);
    if (known) return known;
    const path = openapiPath(groupVersion);
    const loaded = path === null ? Promise.resolve(null) : fetch(this.options.openapi + path, { credentials: "same-origin" }).then(
      (answer) => (answer.ok ? (answer.json() as Promise<OpenApi>) : null),
      () => null,
    );
    this.documents.set(groupVersion, loaded);
    // A cluster that was asleep or away may know more next time.
    void loaded.then((found) => { if (!found) setTimeout(() => this.documents.delete(groupVersion), 5000); });
    return loaded;
  }
}
