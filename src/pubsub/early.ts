// Hears for a client what it is subscribing to, until that is confirmed to it.
//
// The node tells of messages from the moment at which it takes the subscription, and counts a receiver: that is
// before the client's confirmation, which may have to wait for other nodes and workers. What comes meanwhile is kept
// here, and goes out right behind the confirmation.

import type { Batch, Subscriber } from './audience.ts';

export class Early implements Subscriber {
  readonly messages: Buffer[] = [];
  private readonly gathering: (bytes: number) => void;

  /** @param gathering told of the bytes that are kept, and when they no longer are */
  constructor(gathering: (bytes: number) => void) {
    this.gathering = gathering;
  }

  /** Messages are told one by one. */
  attach(): boolean {
    return false;
  }

  hear({ bytes }: Batch, from: number, to: number): void {
    this.messages.push(Buffer.from(bytes.subarray(from, to)));
    this.gathering(to - from);
  }

  /** Nothing more is kept. */
  end(): void {
    this.gathering(-this.messages.reduce((sum, { length }) => sum + length, 0));
  }

  detach(): void {}
  flush(): void {}
  close(): void {}
}
