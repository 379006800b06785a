/** What bounds how much runs at once; who comes first has a place first. */
export type Places = {
  /** Runs `work` once there is a place for it. */
  use<T>(work: () => Promise<T>): Promise<T>
}

export function createPlaces(count: number): Places {
  const waiting: (() => void)[] = []
  let free = count
  return {
    async use(work) {
      if (free > 0) free--
      else await new Promise<void>((resolve) => waiting.push(resolve))
      try {
        return await work()
      } finally {
        const next = waiting.shift()
        if (next === undefined) free++
        else next()
      }
    }
  }
}
