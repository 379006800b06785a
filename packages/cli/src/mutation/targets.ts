/** A folder whose tests are tried with mutants: in its package, the sources that are changed and the tests that must notice. */
export type Target = {
  readonly name: string
  /** Of the checkout. */
  readonly package: string
  /** Files of the package. */
  readonly sources: readonly string[]
  /** Test files of the package that need no servers and take less than a second. */
  readonly tests: readonly string[]
}

const gateway = (name: string, sources: readonly string[], tests: readonly string[]): Target => ({
  name,
  package: 'apps/gateway',
  sources: sources.map((file) => `src/${name}/${file}.ts`),
  tests: tests.map((file) => `test/${file}.test.ts`)
})

/** What is left out of a folder has tests with real servers only: docs/testing-mutation.md says which, and why. */
export const TARGETS: readonly Target[] = [
  {
    name: 'store',
    package: 'packages/store',
    sources: ['src/ids.ts', 'src/cursor.ts'],
    tests: ['test/ids.test.ts', 'test/cursor.test.ts']
  },
  {
    name: 'contracts',
    package: 'packages/contracts',
    sources: ['changes', 'declared', 'events', 'example', 'refusals', 'routes', 'shapes'].map(
      (file) => `src/compat/${file}.ts`
    ),
    tests: ['events', 'examples', 'routes', 'schemas', 'bounds'].map((file) => `test/compat-${file}.test.ts`)
  },
  gateway('routing', ['route-table', 'routes'], ['unit', 'unit/routing']),
  gateway(
    'door',
    ['address', 'cors', 'door', 'message-guard', 'own-door', 'path-guard', 'request-id', 'visit'],
    ['unit', 'unit/address', 'unit/door', 'unit/guards']
  ),
  gateway('limits', ['classes', 'gcra', 'limiter', 'limit-policies', 'slots'], ['unit', 'unit/limits', 'unit/leases']),
  gateway(
    'cache',
    ['answer', 'cached-route', 'client-headers', 'response-cache', 'tags'],
    ['cache/answer', 'cache/cached-route', 'cache/client-headers', 'cache/response-cache', 'cache/tags', 'unit/cache']
  )
]

/** The targets of these names, all when there are none. Throws a line for a name that is none. */
export function chooseTargets(names: readonly string[]): readonly Target[] {
  const known = TARGETS.map(({ name }) => name)
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`there is no folder "${unknown}" to try mutants in: ${known.join(', ')}`)
  return names.length === 0 ? TARGETS : TARGETS.filter(({ name }) => names.includes(name))
}
