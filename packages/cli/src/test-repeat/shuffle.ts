/** A seed of 32 bits for run number `run` of a series: each has its own, and all follow from the first. */
export function seedOf(series: number, run: number): number {
  return Math.floor(random((series ^ Math.imul(run, 0x9e3779b9)) >>> 0)() * 2 ** 32)
}

/** The items in an order that follows from the seed alone (Fisher and Yates). */
export function shuffle<Item>(items: readonly Item[], seed: number): Item[] {
  const next = random(seed)
  const shuffled = [...items]
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1))
    const other = shuffled[j]!
    shuffled[j] = shuffled[i]!
    shuffled[i] = other
  }
  return shuffled
}

/** Numbers from 0 to below 1 that follow from a seed: mulberry32, by Tommy Ettinger (public domain). */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
