// How many bytes are copied from slot to slot at once, by all clients of a worker; or how many links they have for it. First come, first served: a large
// copy is not overtaken for ever by small ones. One that is larger than the whole is done alone.

export class Budget {
  private readonly most: number;
  private taken = 0;
  private readonly waiting: { readonly bytes: number; readonly begin: () => void }[] = [];

  /** @param most bytes */
  constructor(most: number) {
    this.most = most;
  }

  async within<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    const share = Math.min(bytes, this.most);
    if (!(share >= 0)) throw new RangeError(`${bytes} is no number of bytes`);
    await this.acquire(share);
    try {
      return await work();
    } finally {
      this.release(share);
    }
  }

  private acquire(bytes: number): Promise<void> | undefined {
    if (this.waiting.length === 0 && this.taken + bytes <= this.most) {
      this.taken += bytes;
      return undefined;
    }
    return new Promise((begin) => this.waiting.push({ bytes, begin }));
  }

  private release(bytes: number): void {
    this.taken -= bytes;
    while (this.waiting.length > 0 && this.taken + this.waiting[0]!.bytes <= this.most) {
      const next = this.waiting.shift()!;
      this.taken += next.bytes;
      next.begin();
    }
  }
}
