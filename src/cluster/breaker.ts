// Whether a node is sent commands: what all links to it know together.
//
//   open to commands --a link that owes a reply says nothing, and no other link says anything--> shut
//        ^                                                                                         |
//        '------------------------------------- it says something --------------------------------'
//
// What is for a node that is shut waits at the gates, in its order, instead of going into the silence: only what
// was sent before can then end with an unknown outcome, and all else follows the slot to whoever gets it.

/** Told when a node has been shut or opened. */
export type Turned = (breaker: Breaker) => void;

export class Breaker {
  /** Why the node is sent nothing; undefined: it is. */
  shut: string | undefined = undefined;
  /** It owes a reply, and has been silent for too long. */
  silent = false;

  private readonly turned: Turned;

  constructor(turned: Turned = () => {}) {
    this.turned = turned;
  }

  /** The node has said nothing for too long. `why` says since when. */
  doubt(why: string): void {
    this.silent = true;
    this.turn(why);
  }

  /** It has said something. */
  spoke(): void {
    this.silent = false;
    this.turn(undefined);
  }

  private turn(why: string | undefined): void {
    const before = this.shut;
    this.shut = why;
    if ((before === undefined) !== (why === undefined)) this.turned(this);
  }
}
