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
  // What the learner opened stays open; what they were on keeps the focus.
  for (const details of old.querySelectorAll<HTMLDetailsElement>("details[id][open]")) {
    fresh.querySelector<HTMLDetailsElement>(`#${CSS.escape(details.id)}`)?.setAttribute("open", "");
  }
  const focused = old.contains(document.activeElement) ? document.activeElement?.id : "";
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus();
  document.dispatchEvent(new CustomEvent("cordon:replaced", { detail: fresh }));
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
