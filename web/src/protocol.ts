// What goes over the terminal's socket beside bytes, and when a lost connection is tried again.

/** What the server says about the shell. */
export type Control = { type: "replayed" } | { type: "ended"; reason: string } | { type: "unavailable"; reason: string };

/** Seconds to wait before the n-th new try. */
export function backoff(tries: number): number {
  return Math.min(10, 0.5 * 2 ** Math.max(0, tries));
}

export function parseControl(text: string): Control | null {
  try {
    const value = JSON.parse(text) as { type?: unknown; reason?: unknown };
    if (value.type === "replayed") return { type: "replayed" };
    if ((value.type === "ended" || value.type === "unavailable") && typeof value.reason === "string") return { type: value.type, reason: value.reason };
  } catch {
    // Not ours.
  }
  return null;
}
