import { binCache, startTestStores } from '@skerry/testing'
import { listChecks } from './checks.ts'
import { type Children, createChildren } from './child.ts'
import { choosePackages, findPackages, type Package } from './packages.ts'
import { createReport, type Report } from './report.ts'
import { ensureTapBuild } from './tap-build.ts'
import { tapTotals } from './tap-totals.ts'
import { runScript } from './turbo.ts'

export type TestRunOptions = {
  /** Root folder of the checkout. */
  repo: string
  /** Packages to test, all when empty: `auth`, `@skerry/auth` or `apps/auth`. */
  args: readonly string[]
  /** The kill tests at their full size. */
  faults: boolean
}

/**
 * Type-checks, lints, holds the boundaries and runs the packages' tests against real stores that are started once. Prints a line as each
 * part ends, all that a failing part said, and at last `N passed, N failed`.
 *
 * @returns the exit code: 1 when anything failed, 130 when it was interrupted
 */
export async function runTests({ repo, args, faults }: TestRunOptions): Promise<number> {
  const report = createReport((text) => process.stdout.write(`${text}\n`))
  const children = createChildren(repo)
  let packages: readonly Package[]
  try {
    packages = choosePackages(await findPackages(repo), args)
  } catch (error) {
    report.say((error as Error).message)
    return 1
  }
  let interrupted = false
  const interrupt = () => {
    interrupted = true
    children.stop()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt)
  try {
    const notBuilt = await ensureTapBuild(children, repo)
    if (notBuilt !== undefined) report.add('tap build', { passed: 0, failed: 1 }, notBuilt.seconds, notBuilt.output)
    for (const check of listChecks(
      children,
      repo,
      packages.map((p) => p.name)
    )) {
      if (interrupted) break
      const startedAt = performance.now()
      const { ok, output } = await check.run()
      if (interrupted) break
      report.add(check.name, { passed: ok ? 1 : 0, failed: ok ? 0 : 1 }, (performance.now() - startedAt) / 1000, output)
    }
    if (!interrupted)
      await testPackages(
        children,
        packages.filter((p) => p.hasTests),
        faults,
        report
      )
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, interrupt)
  }
  if (interrupted) {
    report.say('interrupted')
    return 130
  }
  return report.close()
}

/** The packages' own tests, on stores of this run. */
async function testPackages(children: Children, packages: readonly Package[], faults: boolean, report: Report) {
  if (packages.length === 0) return
  const names = packages.map((p) => p.name)
  let stores: Awaited<ReturnType<typeof startTestStores>>
  try {
    stores = await startTestStores((line) => report.say(line))
  } catch (error) {
    return report.add('stores', { passed: 0, failed: 1 }, 0, (error as Error).message)
  }
  try {
    const env = {
      SKERRY_TEST_STORES: JSON.stringify(stores.shared),
      SKERRY_BIN: binCache(),
      ...(faults ? { SKERRY_FAULTS: '1' } : {})
    }
    const { ok, output, tasks } = await runScript(children, 'test', names, { env, onLine: report.progress })
    for (const name of names) {
      const task = tasks.find((t) => t.package === name)
      if (task === undefined) report.add(name, { passed: 0, failed: 1, why: 'its tests did not run' }, 0, output)
      else report.add(name, tapTotals(task.output, task.ok), task.seconds, task.output)
    }
    if (!ok && tasks.every((t) => t.ok)) report.add('turbo', { passed: 0, failed: 1 }, 0, output)
  } finally {
    await stores.stop()
  }
}
