import type { Owned } from './owner.ts'

/**
 * A service's relay and consumers as one: readiness checks by name, which throw while a part neither works nor knows that another instance
 * does, and one stop for all.
 *
 * @param besides parts without which the service can serve: they have no check
 */
export function together(
  parts: Readonly<Record<string, Owned>>,
  besides: readonly Owned[] = []
): {
  checks: Record<string, () => void>
  stop(): Promise<void>
} {
  const check = (part: Owned) => () => {
    if (!part.attached()) throw new Error('not attached')
  }
  return {
    checks: Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, check(part)])),
    async stop() {
      await Promise.all([...Object.values(parts), ...besides].map((part) => part.stop()))
    }
  }
}
