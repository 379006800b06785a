import { closeSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs'

/** One line of the journal. */
type Line =
  | { t: 'begin'; version: 1; corpus: string; secret: string }
  | { t: 'user'; key: string; id: string; username: string; existed?: true }
  | { t: 'session'; key: string; value: string }
  | { t: 'follow'; key: string }
  | { t: 'try'; key: string; at: number }
  | { t: 'post' | 'comment'; key: string; id: string }

export type JournalUser = { id: string; username: string; existed: boolean }

/** What has been loaded, kept on disk so that a run goes on where the last one stopped, however that one ended. */
export type Journal = {
  readonly users: ReadonlyMap<string, JournalUser>
  readonly sessions: ReadonlyMap<string, string>
  readonly follows: ReadonlySet<string>
  /** Ids of posts and comments by the key of their mail. */
  readonly done: ReadonlyMap<string, string>
  /** When a post or comment was first sent whose answer is not known. */
  readonly tried: ReadonlyMap<string, number>
  /** Lines that could not be read. */
  readonly damaged: number
  add(line: Exclude<Line, { t: 'begin' }>): void
  /** Forgets everything: what was loaded is gone. */
  restart(): void
  /** On disk, also if the power fails. */
  flush(): void
  close(): void
}

/**
 * Opens the journal at `file`. One of another corpus or another secret is begun anew; half a line at its end, left by a crash, is cut off.
 */
export function openJournal(file: string, begin: { corpus: string; secret: string }): Journal {
  const users = new Map<string, JournalUser>()
  const sessions = new Map<string, string>()
  const follows = new Set<string>()
  const done = new Map<string, string>()
  const tried = new Map<string, number>()
  const first: Line = { t: 'begin', version: 1, ...begin }

  const { lines, bytes, damaged } = readLines(file)
  const fits = JSON.stringify(lines[0]) === JSON.stringify(first)
  if (fits) {
    truncateSync(file, bytes)
    for (const line of lines) apply(line)
  }
  let fd = openSync(file, fits ? 'a' : 'w', 0o600)
  let failed: Error | undefined
  if (!fits) append(first)

  return {
    users,
    sessions,
    follows,
    done,
    tried,
    damaged,
    add(line) {
      append(line)
      apply(line)
    },
    restart() {
      closeSync(fd)
      for (const known of [users, sessions, follows, done, tried]) known.clear()
      fd = openSync(file, 'w', 0o600)
      append(first)
    },
    flush() {
      try {
        fsyncSync(fd)
      } catch (error) {
        // Asked for by a timer, where nobody could catch it: whoever adds the next line gets it.
        failed = error as Error
      }
    },
    close() {
      try {
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
    }
  }

  function append(line: Line): void {
    if (failed !== undefined) throw failed
    writeSync(fd, `${JSON.stringify(line)}\n`)
  }

  function apply(line: Line): void {
    if (line.t === 'user') {
      users.set(line.key, { id: line.id, username: line.username, existed: line.existed ?? false })
    } else if (line.t === 'session') sessions.set(line.key, line.value)
    else if (line.t === 'follow') follows.add(line.key)
    else if (line.t === 'try') tried.set(line.key, tried.get(line.key) ?? line.at)
    else if (line.t === 'post' || line.t === 'comment') {
      done.set(line.key, line.id)
      tried.delete(line.key)
    }
  }
}

/** The whole lines of the file, and how many bytes they take. */
function readLines(file: string): { lines: Line[]; bytes: number; damaged: number } {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { lines: [], bytes: 0, damaged: 0 }
    throw error
  }
  const lines: Line[] = []
  let bytes = 0
  let damaged = 0
  for (const line of text.split('\n').slice(0, -1)) {
    try {
      lines.push(JSON.parse(line) as Line)
    } catch {
      damaged++ // by a disk that was full: the step it noted is taken again, and the server knows its key
    }
    bytes += Buffer.byteLength(line) + 1
  }
  return { lines, bytes, damaged }
}
