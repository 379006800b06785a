/**
 * What `import t from 'tap'` gives to a test file while mutants are tried: the root test of the run at hand, rather than the one root of a
 * process. Loaded anew for each run, since the root of a run is its default export.
 */
const { currentTap } = globalThis as unknown as { currentTap: { root: unknown } }

export default currentTap.root
