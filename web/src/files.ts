// The workspace beside the editor: list, open, keep, apply. Files live on the server; nothing is kept only in the page, and what
// the shell changed meanwhile is never overwritten unseen.

import { announce, apply, parseUpdate } from "./fragments.ts";
import type { Editor } from "./editor.ts";

interface Listed {
  path: string;
  bytes: number;
}

export class Files {
  private editor: Editor | null = null;
  private current = "";
  private version = "";
  private dirty = false;
  private readonly base: string;
  private readonly csrf: string;
  private readonly select: HTMLSelectElement;
  private readonly state: HTMLElement;

  constructor(private readonly root: HTMLElement, private readonly nonce: string) {
    this.base = root.dataset.files ?? "";
    this.csrf = root.dataset.csrf ?? "";
    this.select = root.querySelector("select") as HTMLSelectElement;
    this.state = root.querySelector("[data-state]") as HTMLElement;
    this.select.addEventListener("change", () => void this.open(this.select.value));
    const on = (name: string, run: () => Promise<unknown>) => root.querySelector(`[data-do=${name}]`)?.addEventListener("click", () => void run());
    on("save", () => this.save());
    on("apply", () => this.apply(false));
    on("dry-run", () => this.apply(true));
    on("new", () => this.make());
    on("remove", () => this.remove());
    document.addEventListener("cordon:tab", () => void this.shown());
    window.addEventListener("beforeunload", (event) => {
      if (this.dirty) event.preventDefault();
    });
    void this.shown();
  }

  private async shown(): Promise<void> {
    if (this.root.closest<HTMLElement>("[hidden]")) return;
    if (!this.editor) {
      const { Editor } = await import("./editor.ts");
      // Two events may have come while it was loading.
      this.editor ??= new Editor({
        place: this.root.querySelector("[data-editor]") as HTMLElement,
        nonce: this.nonce,
        openapi: this.root.dataset.openapi ?? "",
        changed: () => this.mark(true),
        save: () => void this.save(),
      });
    }
    await this.list();
  }

  private mark(dirty: boolean): void {
    this.dirty = dirty;
    this.state.textContent = dirty ? "not saved" : this.current ? "saved" : "";
  }

  private async list(): Promise<void> {
    const answer = await this.ask("GET", "");
    if (!answer?.ok) return;
    const files = (await answer.json()) as Listed[];
    const paths = files.map((file) => file.path);
    this.select.replaceChildren(...files.map((file) => new Option(file.path, file.path, false, file.path === this.current)));
    this.select.disabled = files.length === 0;
    const empty = this.root.querySelector<HTMLElement>("[data-empty]");
    if (empty) empty.hidden = files.length > 0;
    const wanted = paths.includes(this.current) ? this.current : paths[0];
    if (wanted && (wanted !== this.current || !this.dirty)) await this.open(wanted);
  }

  private async open(path: string): Promise<void> {
    if (this.dirty && path !== this.current && !window.confirm(`${this.current} has changes that are not saved. Leave them?`)) {
      this.select.value = this.current;
      return;
    }
    const answer = await this.ask("GET", path);
    if (!answer?.ok) return this.failed(answer, `${path} cannot be opened here.`);
    const text = await answer.text();
    // Typed while the answer was on its way: what was typed is worth more. Saving it will find out whether the file changed.
    if (this.dirty && path === this.current) return;
    this.version = answer.headers.get("etag") ?? "";
    if (path !== this.current || text !== this.editor?.text) this.editor?.open(path, text);
    this.current = path;
    this.select.value = path;
    this.mark(false);
  }

  private async save(): Promise<boolean> {
    if (!this.current || !this.editor) return false;
    const headers: Record<string, string> = this.version ? { "if-match": this.version } : {};
    const [path, text] = [this.current, this.editor.text];
    const answer = await this.ask("PUT", path, text, headers);
    if (answer?.status === 412) {
      if (!window.confirm(`${this.current} was changed in the terminal meanwhile. Overwrite it with what you see here?`)) return false;
      this.version = "";
      return this.save();
    }
    if (!answer?.ok) {
      await this.failed(answer, "Not saved.");
      return false;
    }
    if (path !== this.current) return true;
    this.version = answer.headers.get("etag") ?? "";
    // What was typed meanwhile is not saved yet.
    this.mark(this.editor.text !== text);
    return true;
  }

  private async apply(dryRun: boolean): Promise<void> {
    if (!this.current || (this.dirty && !(await this.save()))) return;
    const body = new URLSearchParams({ csrf: this.csrf, path: this.current, dry_run: String(dryRun) });
    try {
      const answer = await fetch(this.root.dataset.apply ?? "", { method: "POST", body, headers: { accept: "application/vnd.cordon.update+json" }, credentials: "same-origin" });
      const update = parseUpdate(await answer.text());
      if (update) {
        apply(update);
        document.getElementById("apply-result")?.scrollIntoView({ block: "nearest" });
      }
      else announce(`The server answered ${answer.status}.`, "bad");
    } catch {
      announce("The server cannot be reached. Your file is saved.", "bad");
    }
  }

  private async make(): Promise<void> {
    const path = window.prompt("Name of the new file", "manifests/policy.yaml")?.trim();
    if (!path) return;
    const answer = await this.ask("PUT", path, "", { "if-none-match": "*" });
    if (answer?.status === 412) announce(`${path} exists already.`, "bad");
    else if (!answer?.ok) return this.failed(answer, `${path} was not made.`);
    this.mark(false);
    this.current = path;
    this.version = "";
    await this.list();
    await this.open(path);
    this.editor?.focus();
  }

  private async remove(): Promise<void> {
    if (!this.current || !window.confirm(`Remove ${this.current}?`)) return;
    const answer = await this.ask("DELETE", this.current);
    if (!answer?.ok) return this.failed(answer, "Not removed.");
    this.mark(false);
    this.current = "";
    this.editor?.open("", "");
    await this.list();
  }

  private async ask(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Response | null> {
    const address = this.base + path.split("/").map(encodeURIComponent).join("/");
    try {
      return await fetch(address, { method, body, credentials: "same-origin", headers: { accept: "application/json, text/plain", "x-csrf-token": this.csrf, ...(body === undefined ? {} : { "content-type": "text/plain; charset=utf-8" }), ...headers } });
    } catch {
      return null;
    }
  }

  private async failed(answer: Response | null, text: string): Promise<void> {
    const reason = answer && answer.headers.get("content-type")?.startsWith("application/json") ? ((await answer.json()) as { error?: string }).error : undefined;
    announce(reason ? `${text} ${reason}` : answer ? text : "The server cannot be reached.", "bad");
  }
}
