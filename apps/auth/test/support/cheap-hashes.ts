import argon2 from '@node-rs/argon2'

export type Hash = typeof argon2.hashRaw

/** What hashes, as it is. */
export const realHash: Hash = argon2.hashRaw

/**
 * Argon2 with the least memory and one pass, whatever is asked for, until the test ends: tests that sign in hundreds of times are not about the
 * cost of a hash. Stored hashes still name the parameters that were asked for. passwords.test.ts, and tests of processes, have the real one.
 */
export function cheapHashes(t: { teardown(work: () => void): unknown }): void {
  t.teardown(
    replaceHash((password, options, signal) => realHash(password, { ...options, memoryCost: 8, timeCost: 1 }, signal))
  )
}

/** Puts another function in the place of the library's. Returns what puts back the one before. */
export function replaceHash(hash: Hash): () => void {
  const before = argon2.hashRaw
  Object.assign(argon2, { hashRaw: hash })
  return () => void Object.assign(argon2, { hashRaw: before })
}
