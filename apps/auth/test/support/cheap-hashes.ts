import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

type Argon2 = (algorithm: string, parameters: Record<string, unknown>, ...rest: unknown[]) => void

/**
 * Argon2 with the least memory and one pass, whatever is asked for, until the test ends: tests that sign in hundreds of times are not about the
 * cost of a hash. Stored hashes still name the parameters that were asked for. passwords.test.ts, and tests of
 * whole systems, have the real one.
 */
export function cheapHashes(t: { teardown(work: () => void): unknown }): void {
  const real = crypto.argon2 as unknown as Argon2
  t.teardown(
    replaceArgon2((algorithm, parameters, ...rest) => real(algorithm, { ...parameters, memory: 8, passes: 1 }, ...rest))
  )
}

/** Puts another function in the place of `argon2`, also where it was imported by name. Returns what puts back the one before. */
export function replaceArgon2(argon2: Argon2): () => void {
  const before = crypto.argon2
  const put = (one: unknown) => {
    Object.assign(crypto, { argon2: one })
    syncBuiltinESMExports()
  }
  put(argon2)
  return () => put(before)
}
