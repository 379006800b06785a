/** Something that stays open until it is ended. */
export type OpenStream = {
  /** In good order, so that the client connects again. */
  end(): void
  /** At once. */
  destroy(): void
}

/** The live streams (SSE and WebSocket) through this gateway, so that it can end them when it leaves. */
export type OpenStreams = {
  add(stream: OpenStream): void
  delete(stream: OpenStream): void
  readonly size: number
  /** Ends them all, and breaks those whose client does not follow within `graceMs`. */
  close(graceMs: number): Promise<void>
}

const LOOK_MS = 20

export function createOpenStreams(): OpenStreams {
  const open = new Set<OpenStream>()
  return {
    add: (stream) => open.add(stream),
    delete: (stream) => open.delete(stream),
    get size() {
      return open.size
    },
    async close(graceMs) {
      for (const stream of [...open]) stream.end()
      const until = performance.now() + graceMs
      while (open.size > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      for (const stream of [...open]) stream.destroy()
    }
  }
}
