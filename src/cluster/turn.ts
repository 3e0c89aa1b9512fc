// One turn of the event loop: its clock and what is to be written at its end. Hot.
//
// Sockets are written once per turn, after all reads of that turn, so that commands and replies that came
// together leave together: one system call for many. Links go before clients, since a node's work can begin
// while replies are still being written.

export interface Flushable {
  flush(): void;
}

export class Turn {
  /** Milliseconds, monotonic; refreshed at each read from a socket and each tick, not at each command. */
  now = performance.now();
  /** Set by who keeps a view of the chunk it was given, so that its reader takes a new buffer. */
  taken = false;

  private links: Flushable[] = [];
  private clients: Flushable[] = [];
  private spareLinks: Flushable[] = [];
  private spareClients: Flushable[] = [];
  private scheduled = false;
  private readonly run = () => this.flush();

  tick(): number {
    this.now = performance.now();
    return this.now;
  }

  markLink(link: Flushable): void {
    this.links.push(link);
    if (!this.scheduled) this.schedule();
  }

  markClient(client: Flushable): void {
    this.clients.push(client);
    if (!this.scheduled) this.schedule();
  }

  private schedule(): void {
    this.scheduled = true;
    setImmediate(this.run);
  }

  private flush(): void {
    this.scheduled = false;
    const { links, clients } = this;
    // What a flush marks anew (a link that fails, a client that goes on) belongs to the next turn.
    if (links.length > 0) {
      this.links = this.spareLinks;
      for (let i = 0; i < links.length; i++) links[i]!.flush();
      links.length = 0;
      this.spareLinks = links;
    }
    if (clients.length > 0) {
      this.clients = this.spareClients;
      for (let i = 0; i < clients.length; i++) clients[i]!.flush();
      clients.length = 0;
      this.spareClients = clients;
    }
  }
}
