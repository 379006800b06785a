import { readFileSync } from 'node:fs'
import { createRequire, registerHooks, stripTypeScriptTypes } from 'node:module'
import { join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/**
 * A test runner for Stryker that stays in its process. Stryker's own runners for tap start a process for each mutant and test file, which
 * takes a second where the tests take some milliseconds. Here each run loads the sources and tests of the sandbox anew, by a number in their
 * URLs, so that no mutant sees what another left in a module, and mutants of constants are tried like all others.
 *
 * Nothing is imported from Stryker: what it gives and takes are plain objects, and it is only installed when it is asked for.
 */
type Namespace = {
  activeMutant?: string | undefined
  currentTestId?: string | undefined
  mutantCoverage?: unknown
  hitCount?: number | undefined
  hitLimit?: number | undefined
}
type MutantRun = { testFilter?: string[]; hitLimit?: number; activeMutant: { id: string } }
type Options = { skerryTests: readonly string[] }
type Root = {
  results?: { ok: boolean; failures?: { fullname?: string; name?: string }[] }
  passing(): boolean
  resume(): void
  end(): void
  once(event: string, listener: () => void): void
}

const here = globalThis as unknown as { __stryker__: Namespace; currentTap: { root: Root | undefined } }
/** Failures that no test caught: they are those of the run at hand. */
let stray: unknown

class Runner {
  static inject = ['options'] as const
  private readonly tests: readonly string[]
  private run = 0
  private newRoot: () => Root = () => {
    throw new Error('not begun')
  }

  constructor(options: Options) {
    this.tests = options.skerryTests
  }

  /** Every run has an environment of its own. */
  capabilities() {
    return { reloadEnvironment: true }
  }

  async init(): Promise<void> {
    const sandbox = process.cwd() + sep
    const standIn = pathToFileURL(join(import.meta.dirname, 'tap-stand-in.ts')).href
    // From where tap has it: tap itself would make a root for the process, which speaks to its parent as if that were tap.
    const ofTap = createRequire(createRequire(sandbox).resolve('tap'))
    ofTap('@tapjs/core') // the two need each other, and only in this order
    const { Test } = ofTap('@tapjs/test')
    this.newRoot = () => new Test({ name: 'mutant', bail: true })
    here.__stryker__ ??= {}
    here.currentTap = { root: undefined }
    const isOurs = (url: string) => url.startsWith('file:') && fileURLToPath(url).startsWith(sandbox)
    const stripped = new Map<string, string>()
    registerHooks({
      resolve: (specifier, context, next) => {
        if (specifier === 'tap')
          return { url: `${standIn}?run=${this.run}`, format: 'module-typescript', shortCircuit: true }
        const found = next(specifier, context)
        return isOurs(found.url) ? { ...found, url: `${found.url}?run=${this.run}` } : found
      },
      load: (url, context, next) => {
        const [bare = ''] = url.split('?')
        if (!bare.endsWith('.ts') || !isOurs(bare)) return next(url, context)
        // Files of a sandbox never change, and the types of each would be stripped again in every run.
        let source = stripped.get(bare)
        if (source === undefined) {
          source = stripTypeScriptTypes(readFileSync(fileURLToPath(bare), 'utf8'))
          stripped.set(bare, source)
        }
        return { format: 'module', source, shortCircuit: true }
      }
    })
    process.on('uncaughtException', (error) => {
      stray ??= error
    })
    process.on('unhandledRejection', (error) => {
      stray ??= error
    })
  }

  async dryRun() {
    const tests = []
    here.__stryker__.mutantCoverage = undefined
    for (const file of this.tests) {
      here.__stryker__.currentTestId = file
      const from = performance.now()
      const failure = await this.try(file)
      const what = { id: file, name: file, fileName: file, timeSpentMs: performance.now() - from }
      tests.push(failure === undefined ? { ...what, status: 0 } : { ...what, status: 1, failureMessage: failure })
    }
    here.__stryker__.currentTestId = undefined
    return { status: 'complete', tests, mutantCoverage: here.__stryker__.mutantCoverage }
  }

  async mutantRun({ testFilter, hitLimit, activeMutant }: MutantRun) {
    const files = testFilter ?? this.tests
    const stryker = here.__stryker__
    Object.assign(stryker, {
      activeMutant: activeMutant.id,
      hitLimit,
      hitCount: hitLimit === undefined ? undefined : 0
    })
    try {
      let nrOfTests = 0
      for (const file of files) {
        nrOfTests++
        const failure = await this.try(file)
        if (hitLimit !== undefined && (stryker.hitCount ?? 0) > hitLimit)
          return { status: 'timeout', reason: `it was reached more than ${hitLimit} times` }
        if (failure !== undefined) return { status: 'killed', killedBy: [file], failureMessage: failure, nrOfTests }
      }
      return { status: 'survived', nrOfTests }
    } finally {
      stryker.activeMutant = undefined
    }
  }

  /** What failed first in a test file, or undefined. */
  private async try(file: string): Promise<string | undefined> {
    this.run++
    stray = undefined
    const root = this.newRoot()
    here.currentTap.root = root
    root.resume() // its report, which nobody reads
    const over = new Promise<void>((resolve) => {
      root.once('end', resolve)
      root.once('bailout', resolve)
    })
    try {
      await import(pathToFileURL(join(process.cwd(), file)).href)
    } catch (error) {
      stray ??= error
    }
    root.end()
    await over
    await new Promise(setImmediate) // what is rejected in vain is told after the turn
    if (stray !== undefined) return stray instanceof Error ? stray.message : String(stray)
    if (root.passing()) return undefined
    const [first] = root.results?.failures ?? []
    return first?.fullname ?? first?.name ?? 'a test failed'
  }
}

export const strykerPlugins = [{ kind: 'TestRunner', name: 'skerry', injectableClass: Runner }]
