// The attempt's clock. The server decides when time is up; this only shows it.

/** `1:02:03`, `2:03`; nothing below zero. */
export function clock(seconds: number): string {
  const left = Math.max(0, Math.floor(seconds));
  const two = (value: number) => String(value).padStart(2, "0");
  const hours = Math.floor(left / 3600);
  const minutes = Math.floor((left % 3600) / 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
}

/** What is worth saying aloud when `before` seconds became `now`: each threshold once. */
export function warning(before: number, now: number): string | null {
  for (const minutes of [1, 5, 15]) {
    if (before > minutes * 60 && now <= minutes * 60) return minutes === 1 ? "One minute left." : `${minutes} minutes left.`;
  }
  return null;
}

export function startTimer(element: HTMLElement, say: (text: string) => void): void {
  // The server's clock, not this machine's, which may be wrong.
  const left = Number(element.dataset.secondsLeft);
  if (!Number.isFinite(left)) return;
  // Not performance.now, which stands still in some browsers while the machine sleeps.
  const began = Date.now();
  let before = left;
  const tick = () => {
    const now = left - (Date.now() - began) / 1000;
    element.textContent = clock(now);
    element.classList.toggle("urgent", now <= 300);
    const text = warning(before, now);
    if (text) say(text);
    before = now;
  };
  tick();
  setInterval(tick, 1000);
}
