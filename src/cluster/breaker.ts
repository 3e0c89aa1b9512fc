// Whether a node can be connected to and is sent commands: what all links to it know together.
//
//   closed: all links connect as they like
//      |  ^ the one that tries succeeds: all connect at once
//      |  '---------------------------------------------.
//      |  an attempt fails, or the last connection is lost|
//      '--> open: after a delay, which grows, one link tries -- fails: the delay grows --> open
//
// So a node that is not there costs an attempt now and then, however many links and clients there are. A login that
// is refused says that the node is there; it is the affair of that one link.
//
// While it can't be connected to, or owes a reply and says nothing, the node is shut: what is for it waits at the
// gates, in its order, instead of going into a link. Only what was sent before can then end with an unknown
// outcome, and all else follows the slot at once to whoever gets it.

/** A link, as the breaker sees it. */
export interface Trying {
  /** It may connect now, and is to say how that went. */
  connect(): void;
  /** It can't: what it was to be sent is not to wait for it. */
  refuse(reason: string): void;
}

export interface BackoffOptions {
  /** ms */
  readonly backoffMin: number;
  readonly backoffMax: number;
}

/** Delays that grow, spread by chance. */
export class Backoff {
  /** In a row. */
  failures = 0;
  private readonly options: BackoffOptions;

  constructor(options: BackoffOptions) {
    this.options = options;
  }

  /** How long to wait after one more failure, ms. After the first one hardly at all: it may have been a chance. */
  next(): number {
    const failures = this.failures++;
    return failures === 0
      ? Math.random() * this.options.backoffMin
      : delayAfter(Math.min(failures, 16), this.options);
  }
}

/** How long to wait after so many failures, ms: twice as long each time, and spread by chance. */
export function delayAfter(failures: number, { backoffMin, backoffMax }: BackoffOptions): number {
  const longest = Math.min(backoffMax, backoffMin * 2 ** failures);
  return longest * (0.5 + Math.random() / 2);
}

export class Breaker {
  /** Why the node is sent nothing; undefined: it is. */
  shut: string | undefined = undefined;
  /** It owes a reply, and has been silent for too long. */
  silent = false;
  /** Links that are connected. */
  up = 0;

  private readonly name: string;
  private readonly backoff: Backoff;
  private turned: () => void;
  private closed = false;
  /** Why it is shut, as far as it is silent, and as far as it can't be connected to. */
  private silence = '';
  private reason = '';
  private trying: Trying | undefined = undefined;
  /** The last to have tried: the next to try if nobody else wants to. */
  private last: Trying | undefined = undefined;
  private readonly waiting = new Set<Trying>();
  private timer: NodeJS.Timeout | undefined = undefined;

  /** `name`: the node's address. `turned`: told when it has been shut or opened. */
  constructor(name: string, options: BackoffOptions, turned: () => void = () => {}) {
    this.name = name;
    this.backoff = new Backoff(options);
    this.turned = turned;
  }

  /** Attempts that have failed in a row. */
  get failures(): number {
    return this.backoff.failures;
  }

  // ---- who is silent

  /** The node has said nothing for so long, ms, although it owes something. */
  doubt(silentFor: number): void {
    this.silent = true;
    this.silence = `${this.name} has been silent for ${silentFor} ms`;
    this.look();
  }

  /** It has said something. */
  spoke(): void {
    this.silent = false;
    this.look();
  }

  // ---- who connects

  /** A link is to connect: at once if this says so; else it is told when, or that it can't. */
  ask(link: Trying): boolean {
    if (this.closed) return true;
    if (this.broken) {
      setImmediate(() => link.refuse(this.reason));
      return false;
    }
    this.waiting.add(link);
    if (this.trying !== undefined || this.timer !== undefined) return false;
    this.waiting.delete(link);
    this.trying = link;
    return true;
  }

  connected(): void {
    this.up++;
    this.answered();
  }

  /** The node is there, whatever it has said to the link. */
  answered(): void {
    this.closed = true;
    this.backoff.failures = 0;
    this.trying = this.last = undefined;
    this.stopTimer();
    this.look();
    for (const link of this.take()) link.connect();
  }

  /** A link could not connect. */
  failed(link: Trying, reason: string): void {
    // It began while others could, and one of them has told already.
    if (!this.closed && this.trying !== link) return;
    this.closed = false;
    this.trying = undefined;
    this.last = link;
    this.reason = reason;
    this.stopTimer();
    this.timer = setTimeout(() => this.next(), this.backoff.next());
    this.look();
    for (const other of this.take()) other.refuse(reason);
  }

  /** A link that was connected is no more. */
  lost(): void {
    this.up--;
    if (this.up === 0) this.closed = false;
    this.look();
  }

  /** A link has ended for good. */
  leave(link: Trying): void {
    this.waiting.delete(link);
    if (this.last === link) this.last = undefined;
    if (this.trying !== link) return;
    this.trying = undefined;
    this.next();
  }

  /** Nobody connects any more. */
  end(): void {
    this.turned = () => {};
    this.stopTimer();
    this.waiting.clear();
    this.last = undefined;
  }

  /** One link tries. */
  private next(): void {
    this.stopTimer();
    const [first = this.last] = this.waiting;
    this.trying = first;
    if (first === undefined) return this.look();
    this.waiting.delete(first);
    first.connect();
  }

  /** No link is up, the last attempt has failed, and another is to come. */
  private get broken(): boolean {
    const more = this.trying !== undefined || this.timer !== undefined;
    return this.up === 0 && this.backoff.failures > 0 && more;
  }

  private take(): Trying[] {
    const all = [...this.waiting];
    this.waiting.clear();
    return all;
  }

  private stopTimer(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    const before = this.shut;
    if (this.silent) this.shut = this.silence;
    else this.shut = this.broken ? `${this.name}: ${this.reason}` : undefined;
    if ((before === undefined) !== (this.shut === undefined)) this.turned();
  }
}
