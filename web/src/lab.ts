// The lab page: terminal, editor, live verdicts, timer. Terminal and editor are loaded when they are first needed.

import { announce } from "./fragments.ts";
import { follow } from "./live.ts";
import { startMatrix } from "./matrix.ts";
import { pageNonce, stampStyles } from "./nonce.ts";
import { startTimer } from "./timer.ts";
import { Files } from "./files.ts";
import type { Shell } from "./terminal.ts";

const root = document.getElementById("lab");
const nonce = pageNonce();
stampStyles(nonce);

let shell: Promise<Shell> | null = null;

function openShell(): Promise<Shell> | null {
  const place = document.getElementById("terminal");
  const state = document.getElementById("terminal-state");
  if (!place?.dataset.socket || !state) return null;
  shell ??= import("./terminal.ts").then(({ Shell }) => new Shell(place, place.dataset.socket ?? "", state));
  return shell;
}

/** Shows a panel by choosing its tab. */
function show(panel: string): void {
  document.querySelector<HTMLElement>(`[role=tab][aria-controls="${panel}"]`)?.click();
}

if (root) {
  const timer = document.getElementById("timer");
  if (timer) startTimer(timer, (text) => announce(text, "info"));

  // Verdicts, cluster view and everything else that changes by itself.
  if (root.dataset.events) follow(root.dataset.events, (connected) => document.getElementById("offline")?.toggleAttribute("hidden", connected));
  startMatrix();

  const panel = document.getElementById("panel-terminal");
  const openIfShown = () => {
    if (panel && !panel.hidden) void openShell()?.then((shell) => shell.refit());
  };
  document.addEventListener("cordon:tab", openIfShown);
  openIfShown();

  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    const run = target.closest<HTMLElement>("button[data-run]");
    if (run) {
      const text = run.closest("figure")?.querySelector("code")?.textContent ?? "";
      show("panel-terminal");
      void openShell()?.then((shell) => shell.type(text));
      announce("On the command line; press Enter to run it.", "info");
    }
    if (target.closest("#terminal-again")) {
      (target.closest("#terminal-again") as HTMLElement).hidden = true;
      void openShell()?.then((shell) => shell.connect());
    }
  });

  const editor = document.getElementById("editor");
  if (editor) new Files(editor, nonce);
}
