/** Who followed authors when they last posted: a guess that saves a query, and that whoever uses it compares with how it is now. */
export type KnownFollowers = {
  /** `many`: more than are served at once. Undefined: nothing is known. */
  of(authorId: string): readonly string[] | 'many' | undefined
  keep(authorId: string, followers: readonly string[] | 'many'): void
  forget(authorId: string): void
}

/** @param max ids that are kept, of authors and followers; those of the authors who have not posted for longest go first */
export function createKnownFollowers(max: number): KnownFollowers {
  const known = new Map<string, readonly string[] | 'many'>()
  let size = 0

  function forget(authorId: string): void {
    const before = known.get(authorId)
    if (before === undefined) return
    known.delete(authorId)
    size -= sizeOf(before)
  }

  return {
    of: (authorId) => known.get(authorId),
    keep(authorId, followers) {
      forget(authorId)
      known.set(authorId, followers)
      size += sizeOf(followers)
      for (const oldest of known.keys()) {
        if (size <= max) return
        forget(oldest)
      }
    },
    forget
  }
}

function sizeOf(followers: readonly string[] | 'many'): number {
  return 1 + (followers === 'many' ? 0 : followers.length)
}
