// On every page: forms that answer without a reload, copy buttons, tabs. Without this script each form is a plain form and
// each tab a section on the page.

import { announce, apply, parseUpdate } from "./fragments.ts";
import { follow } from "./live.ts";

document.documentElement.classList.add("script");

async function submit(form: HTMLFormElement, button: HTMLElement | null): Promise<void> {
  const question = button?.dataset.confirm ?? form.dataset.confirm;
  if (question && !window.confirm(question)) return;
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form, button)) if (typeof value === "string") body.append(name, value);
  form.setAttribute("aria-busy", "true");
  button?.setAttribute("aria-disabled", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "application/vnd.cordon.update+json" }, credentials: "same-origin" });
    const update = parseUpdate(await answer.text());
    if (update) apply(update);
    else announce(answer.ok ? "Done." : `The server answered ${answer.status}. Reload the page and try again.`, answer.ok ? "info" : "bad");
  } catch {
    announce("The server cannot be reached. Your work is kept; try again in a moment.", "bad");
  } finally {
    form.removeAttribute("aria-busy");
    button?.removeAttribute("aria-disabled");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target as HTMLFormElement;
  if (!form.matches("form[data-live]")) {
    const question = (event as SubmitEvent).submitter?.dataset.confirm ?? form.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
    return;
  }
  event.preventDefault();
  if (form.getAttribute("aria-busy") !== "true") void submit(form, (event as SubmitEvent).submitter);
});

document.addEventListener("click", (event) => {
  const button = (event.target as Element).closest<HTMLElement>("button[data-copy]");
  if (!button) return;
  const code = button.closest("figure")?.querySelector("code");
  if (code) void copy(code).then((copied) => (copied ? announce("Copied.", "info") : announce("Not copied: the browser refused. Select the text and copy it.", "bad")));
});

async function copy(code: Element): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    return true;
  } catch {
    // The clipboard needs a secure page; a class over plain HTTP has only the old way: what is selected is copied.
    getSelection()?.selectAllChildren(code);
    return document.execCommand("copy");
  }
}

// Tabs, as the ARIA practices describe them: arrows move, only the chosen tab is in the tab order.
function select(tab: HTMLElement, focus: boolean): void {
  const list = tab.closest("[role=tablist]");
  for (const other of list?.querySelectorAll<HTMLElement>("[role=tab]") ?? []) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    const panel = document.getElementById(other.getAttribute("aria-controls") ?? "");
    if (panel) panel.hidden = !chosen;
  }
  if (focus) tab.focus();
  document.dispatchEvent(new CustomEvent("cordon:tab", { detail: tab.id }));
}

for (const list of document.querySelectorAll<HTMLElement>("[data-tabs]")) {
  list.setAttribute("role", "tablist");
  list.hidden = false;
  const tabs = [...list.querySelectorAll<HTMLElement>("[role=tab]")];
  for (const [index, tab] of tabs.entries()) {
    document.getElementById(tab.getAttribute("aria-controls") ?? "")?.setAttribute("role", "tabpanel");
    tab.addEventListener("click", () => select(tab, false));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = event.key === "Home" ? tabs[0] : event.key === "End" ? tabs.at(-1) : step ? tabs[(index + step + tabs.length) % tabs.length] : undefined;
      if (!next) return;
      event.preventDefault();
      select(next, true);
    });
  }
  const first = tabs.find((tab) => tab.getAttribute("aria-selected") === "true") ?? tabs[0];
  if (first) select(first, false);
}

// A start-up page asks again by itself; without script it does so by a refresh header.
const starting = document.querySelector<HTMLElement>("[data-follow]");
if (starting?.dataset.follow) {
  follow(starting.dataset.follow, (connected) => document.getElementById("offline")?.toggleAttribute("hidden", connected));
}
