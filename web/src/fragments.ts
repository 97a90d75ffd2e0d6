// The server renders; the script puts what it rendered in its place. An answer or a live event is a list of fragments, each the
// HTML of one element with an id, plus words for the live region.

export interface Update {
  /** HTML of elements that replace those with the same id. */
  fragments?: { id: string; html: string }[];
  /** Read out by screen readers and shown for a moment. */
  announce?: string;
  /** The kind of announcement; errors stay until dismissed. */
  tone?: "info" | "good" | "bad";
  /** Go there instead. */
  redirect?: string;
}

/** Reads an update; anything else gives null. */
export function parseUpdate(text: string): Update | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    const update = value as Update;
    if (update.fragments !== undefined && !Array.isArray(update.fragments)) return null;
    if (update.redirect !== undefined && !isLocal(update.redirect)) return null;
    return update;
  } catch {
    return null;
  }
}

/** True for a path on this very server. */
export function isLocal(path: string): boolean {
  return path.startsWith("/") && !path.startsWith("//") && !path.includes("\\");
}

export function apply(update: Update): void {
  if (update.redirect) {
    location.assign(update.redirect);
    return;
  }
  for (const { id, html } of update.fragments ?? []) replace(id, html);
  if (update.announce) announce(update.announce, update.tone ?? "info");
}

function replace(id: string, html: string): void {
  const old = document.getElementById(id);
  if (!old) return;
  const template = document.createElement("template");
  template.innerHTML = html;
  const fresh = template.content.firstElementChild;
  if (!fresh || fresh.outerHTML === old.outerHTML) return;
  // What the learner opened stays open, what they scrolled stays where it is, what they were on keeps the focus.
  for (const details of old.querySelectorAll<HTMLDetailsElement>("details[id][open]")) {
    fresh.querySelector<HTMLDetailsElement>(`#${CSS.escape(details.id)}`)?.setAttribute("open", "");
  }
  const scrolled = [old, ...old.querySelectorAll("*")].filter((part) => part.scrollTop > 0 || part.scrollLeft > 0)
    .map((part) => ({ path: pathTo(part, old), top: part.scrollTop, left: part.scrollLeft }));
  const active = document.activeElement;
  const focused = active && old.contains(active) ? { id: active.id, path: pathTo(active, old) } : null;
  old.replaceWith(fresh);
  for (const { path, top, left } of scrolled) at(fresh, path)?.scrollTo({ top, left, behavior: "instant" });
  if (focused) ((focused.id && document.getElementById(focused.id)) || (at(fresh, focused.path) as HTMLElement | null))?.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent("cordon:replaced", { detail: fresh }));
}

/** Which child of which child, from `root` down. */
function pathTo(element: Element, root: Element): number[] {
  const path: number[] = [];
  for (let here = element; here !== root && here.parentElement; here = here.parentElement) path.unshift([...here.parentElement.children].indexOf(here));
  return path;
}

function at(root: Element, path: number[]): Element | null {
  return path.reduce<Element | null>((here, index) => here?.children[index] ?? null, root);
}

export function announce(text: string, tone: "info" | "good" | "bad"): void {
  const region = document.getElementById("live");
  if (!region) return;
  const note = document.createElement("p");
  note.className = `toast ${tone}`;
  note.textContent = text;
  region.append(note);
  while (region.childElementCount > 3) region.firstElementChild?.remove();
  setTimeout(() => note.remove(), tone === "bad" ? 12000 : 6000);
}
