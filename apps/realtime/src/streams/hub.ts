import type { LiveEntry } from '../log/entry.ts'
import type { LiveLog } from '../log/live-log.ts'

/** A stream, as far as its hub is concerned. */
export type Hearer = {
  /** A message that was just appended; `odd`: it can't be of the log as it was. */
  offer(entry: LiveEntry, odd: boolean): void
}

/** What the streams of one user on this instance share: one subscription, and until when the user counts as active. */
export class Hub {
  readonly userId: string
  readonly streams: Hearer[] = []
  /** Sequence of the newest message that was heard of; 0: none yet. */
  lastHeard = 0
  /** The log that `lastHeard` is of. */
  stamp: string
  /** When the activity is to be renewed, in milliseconds. */
  renewAt = 0
  renewing = false
  private readonly stop: () => void

  constructor(userId: string, log: LiveLog) {
    this.userId = userId
    this.stamp = log.latest().stamp
    this.stop = log.listen(userId, (entry) => this.hear(entry))
  }

  private hear(entry: LiveEntry): void {
    // Sequences of one log only grow: another log has taken its place, or something is wrong; the streams look.
    const odd = entry.seq <= this.lastHeard
    this.lastHeard = entry.seq
    for (const stream of this.streams) stream.offer(entry, odd)
  }

  /** Another log: what was heard of the old one says nothing any more. */
  follow(stamp: string): void {
    if (stamp === this.stamp) return
    this.stamp = stamp
    this.lastHeard = 0
  }

  close(): void {
    this.stop()
  }
}
