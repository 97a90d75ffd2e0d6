// The learner's shell in the page: xterm.js over a WebSocket. Output comes as binary frames; control as JSON text. A reload gets
// the scrollback replayed; a lost connection comes back by itself.

import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { announce } from "./fragments.ts";
import { backoff, parseControl } from "./protocol.ts";

const dark = {
  background: "#101915", foreground: "#d8e2dc", cursor: "#8fd0ac", cursorAccent: "#101915", selectionBackground: "#2f4d3e",
  black: "#1c2823", red: "#ef8a80", green: "#8fd0ac", yellow: "#e3c27a", blue: "#8ab6e8", magenta: "#c9a2e0", cyan: "#84cdd0", white: "#d8e2dc",
  brightBlack: "#7d8f86", brightRed: "#f5a9a1", brightGreen: "#aee3c5", brightYellow: "#efd79f", brightBlue: "#aecdf1", brightMagenta: "#dcc0ec", brightCyan: "#a9e1e3", brightWhite: "#f4f8f6",
};

export class Shell {
  readonly terminal: Terminal;
  private readonly fit = new FitAddon();
  private socket: WebSocket | null = null;
  private tries = 0;
  private replaying = true;
  private over = false;
  private waiting = "";

  constructor(private readonly place: HTMLElement, private readonly address: string, private readonly state: HTMLElement) {
    this.terminal = new Terminal({
      theme: dark, fontFamily: "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace", fontSize: 12.5, lineHeight: 1.25,
      scrollback: 5000, cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches, screenReaderMode: true, allowProposedApi: false, minimumContrastRatio: 4.5,
    });
    this.terminal.loadAddon(this.fit);
    this.terminal.open(place);
    this.terminal.onData((data) => {
      // Answers that old programs' questions provoke during the replay are not for the shell.
      if (!this.replaying) this.send(data);
    });
    this.terminal.onResize(() => this.resize());
    this.terminal.attachCustomKeyEventHandler((event) => this.key(event));
    new ResizeObserver(() => this.refit()).observe(place);
    this.connect();
  }

  /** Puts text on the command line, without running it: the learner presses Enter. */
  type(text: string): void {
    const trimmed = text.replace(/\s+$/, "");
    // Several lines go in as one paste, so that they do not run one by one unseen.
    this.send(trimmed.includes("\n") ? `\u001b[200~${trimmed}\u001b[201~` : trimmed);
    this.terminal.focus();
  }

  refit(): void {
    if (this.place.offsetParent !== null && this.place.clientWidth > 40) this.fit.fit();
  }

  private key(event: KeyboardEvent): boolean {
    // F6 or Ctrl+Escape leaves the terminal; every other key belongs to the shell.
    if (event.type !== "keydown") return true;
    if (event.key === "F6" || (event.key === "Escape" && event.ctrlKey)) {
      event.preventDefault();
      document.getElementById("terminal-leave")?.focus();
      return false;
    }
    if (event.ctrlKey && event.shiftKey && event.key.toLowerCase() === "c" && this.terminal.hasSelection()) {
      event.preventDefault();
      void navigator.clipboard?.writeText(this.terminal.getSelection());
      return false;
    }
    return true;
  }

  private say(text: string, tone: "busy" | "good" | "bad"): void {
    this.state.textContent = text;
    this.state.dataset.tone = tone;
  }

  private send(data: string): void {
    if (this.socket?.readyState === WebSocket.OPEN && !this.replaying) this.socket.send(new TextEncoder().encode(data));
    else if (!this.over) this.waiting += data;
  }

  private resize(): void {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ type: "resize", columns: this.terminal.cols, rows: this.terminal.rows }));
    }
  }

  connect(): void {
    this.over = false;
    this.replaying = true;
    this.say("connecting…", "busy");
    this.refit();
    const address = new URL(this.address, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("columns", String(this.terminal.cols));
    address.searchParams.set("rows", String(this.terminal.rows));
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.terminal.reset();
      this.resize();
    };
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      if (typeof event.data !== "string") {
        this.terminal.write(new Uint8Array(event.data));
        return;
      }
      const control = parseControl(event.data);
      if (control?.type === "replayed") {
        // Only after what was replayed has really been parsed.
        this.terminal.write("", () => {
          this.replaying = false;
          this.tries = 0;
          this.say("connected", "good");
          const waiting = this.waiting;
          this.waiting = "";
          if (waiting) this.send(waiting);
        });
      } else if (control) {
        this.over = true;
        this.terminal.write(`\r\n\u001b[2m${control.reason}\u001b[0m\r\n`);
        this.say(control.type === "ended" ? "ended" : "not available", "bad");
        announce(control.reason, "bad");
        const again = document.getElementById("terminal-again");
        if (again && control.type === "ended") again.hidden = false;
      }
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (this.over) return;
      const wait = backoff(this.tries++);
      this.say("connection lost, trying again…", "busy");
      setTimeout(() => this.connect(), wait * 1000);
    };
  }
}
