// The end of a worker's clients, in two steps:
//
//   door closed --- grace: who is connected goes on ---> nothing more is read --- timeout: what is under way ---> cut off
//                      '-- nobody is left: done           is answered, who has nothing is closed
//
// Whoever ends the proxy wants the clients to go elsewhere, and not to see errors: so nobody is let in, and those
// that are there go on for a while, in which pools and balancers that have seen it leave take their connections away.
// So do HAProxy's soft stop and pgbouncer's SHUTDOWN WAIT_FOR_CLIENTS, which wait without an end. This one has one:
// Redis's clients stay connected for days, and who sent the signal kills what is still there after 10 s (docker) or
// 30 s (Kubernetes); by default all is over in 8.

/** A client, as far as its end goes. */
export interface Ending {
  /** Reads nothing more, answers what is under way, then closes. */
  end(): void;
  close(): void;
}

export interface DrainTimes {
  /** For how long clients go on, ms. */
  readonly grace: number;
  /** How long what is under way then may take, ms. */
  readonly timeout: number;
}

const POLL = 20;

export class Drain {
  private readonly clients: ReadonlyMap<number, Ending>;
  private readonly timeout: number;
  private readonly over: () => void;
  private grace: number;
  private timer: NodeJS.Timeout | undefined = undefined;
  /** Of the step that it is in. */
  private deadline = 0;
  private ending = false;

  /** @param over called once, when no client is left */
  constructor(clients: ReadonlyMap<number, Ending>, { grace, timeout }: DrainTimes, over: () => void) {
    this.clients = clients;
    this.grace = grace;
    this.timeout = timeout;
    this.over = over;
  }

  /** Nobody more comes. */
  begin(): void {
    this.deadline = performance.now() + this.grace;
    this.timer = setInterval(() => this.look(), POLL);
    if (this.grace === 0) this.hurry();
  }

  /** Ends the grace. */
  hurry(): void {
    this.grace = 0;
    if (this.ending || this.timer === undefined) return;
    this.ending = true;
    this.deadline = performance.now() + this.timeout;
    for (const client of [...this.clients.values()]) client.end();
  }

  private look(): void {
    const late = performance.now() >= this.deadline;
    if (late && !this.ending) return this.hurry();
    if (this.clients.size > 0 && !late) return;
    clearInterval(this.timer);
    for (const client of [...this.clients.values()]) client.close();
    this.over();
  }
}
