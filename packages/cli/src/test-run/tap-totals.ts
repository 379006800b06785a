/** What a package's tests came to. A fault that is no failed assertion (a crash, no test at all) counts as one failure. */
export type Totals = { passed: number; failed: number; why?: string }

/**
 * Reads tap's closing comment (`# { total: 16, pass: 15, fail: 1 }`) from a package's output.
 *
 * @param ok whether tap ended with exit code 0
 */
export function tapTotals(output: string, ok: boolean): Totals {
  const summary = [...output.matchAll(/^# \{ (total: \d+[^}]*) \}$/gm)].at(-1)?.[1]
  if (summary === undefined) return { passed: 0, failed: 1, why: 'tap ended without its totals' }
  const count = Object.fromEntries(summary.split(', ').map((part) => part.split(': ') as [string, string]))
  const passed = Number(count.pass ?? 0)
  const failed = Number(count.fail ?? 0)
  if (failed > 0) return { passed, failed }
  if (passed === 0) return { passed, failed: 1, why: 'no assertion was made' }
  return ok ? { passed, failed } : { passed, failed: 1, why: 'tap ended with a fault that no assertion shows' }
}
