/** Whether any feed has something to merge at read time. */
export type AnyMerged = () => Promise<boolean>

/**
 * Saves the question of each reader in systems without big authors. It turns true once and for all, at most `everyMs` late; what a big author
 * posts is asynchronous for followers in any case.
 */
export function createAnyMerged(ask: () => Promise<boolean>, everyMs: number): AnyMerged {
  let known = false
  let askedAt = Number.NEGATIVE_INFINITY
  return async () => {
    const now = performance.now()
    if (!known && now - askedAt >= everyMs) {
      askedAt = now
      try {
        known = await ask()
      } catch (error) {
        askedAt = Number.NEGATIVE_INFINITY
        throw error
      }
    }
    return known
  }
}
