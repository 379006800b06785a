import type { Upstream } from './upstream.ts'

export type MoveOptions = {
  /** In this time all of them have gone. */
  withinMs: number
  /** Whether they are still to go; asked each time before some do. */
  mayMove(): boolean
  onMoved(count: number): void
}

const STEP_MS = 50

/**
 * Ends the live streams of an instance, spread over a time: twenty thousand phones that come back in one instant would be more than those who
 * take them can do. Those that are left stay when the reason is gone meanwhile.
 */
export function moveStreams(upstream: Upstream, { withinMs, mayMove, onMoved }: MoveOptions): void {
  if (upstream.moving || upstream.live.size === 0 || !mayMove()) return
  upstream.moving = true
  const until = performance.now() + withinMs
  const timer = setInterval(() => {
    const { live } = upstream
    if (live.size === 0 || !mayMove()) {
      clearInterval(timer)
      upstream.moving = false
      return
    }
    const leftMs = Math.max(STEP_MS, until - performance.now())
    // What is less than one goes by chance.
    const count = Math.floor((live.size * STEP_MS) / leftMs + Math.random())
    const going = [...live].slice(0, count)
    for (const stream of going) live.delete(stream)
    onMoved(going.length)
    for (const stream of going) stream.move()
  }, STEP_MS).unref()
}
