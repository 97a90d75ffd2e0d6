// What the server tells an open page as it happens.

import { apply, parseUpdate } from "./fragments.ts";
import { backoff } from "./protocol.ts";

/**
 * Follows the updates at `address`. The browser connects again by itself where a connection breaks; where the server's answer was
 * an error it gives up, so that we try again, ever slower. `online` hears of both.
 */
export function follow(address: string, online: (connected: boolean) => void): void {
  let tries = 0;
  const open = () => {
    const events = new EventSource(address);
    events.onopen = () => {
      tries = 0;
      online(true);
    };
    events.onmessage = (event) => {
      const update = parseUpdate(event.data);
      if (!update) return;
      if (update.redirect) events.close();
      apply(update);
    };
    events.onerror = () => {
      online(false);
      if (events.readyState === EventSource.CLOSED) setTimeout(open, backoff(tries++) * 1000);
    };
  };
  open();
}
