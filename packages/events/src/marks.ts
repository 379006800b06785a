import type { Store } from '@skerry/store'
import { type Applied, keepApplied } from './inbox.ts'

/** Marks of effects that have no transaction, collected so that one write serves many. */
export type Marks = {
  /** Resolves when the inbox has them, with those that were collected meanwhile. */
  add(marks: readonly Applied[]): Promise<void>
  /** Writes what was collected without waiting for more. */
  flush(): void
}

/** How long marks wait for others: nothing waits for them but the acknowledgement. In milliseconds. */
const EVERY_MS = 500
/** What is written without waiting for more. */
const MOST = 500

export function createMarks(store: Store): Marks {
  let collected: Applied[] = []
  let written: PromiseWithResolvers<void> | undefined
  let timer: NodeJS.Timeout | undefined

  function write(): void {
    clearTimeout(timer)
    if (written === undefined) return
    const marks = collected
    const done = written
    collected = []
    written = undefined
    keepApplied(store, marks).then(done.resolve, done.reject)
  }

  return {
    add(marks) {
      if (written === undefined) {
        written = Promise.withResolvers()
        // Those who asked may have given up.
        written.promise.catch(() => undefined)
        timer = setTimeout(write, EVERY_MS)
      }
      const { promise } = written
      collected.push(...marks)
      if (collected.length >= MOST) write()
      return promise
    },
    flush: write
  }
}
