import { stringify } from 'tap-yaml'
import type { TestFile } from './files.ts'
import type { FileResult } from './run-file.ts'

export type Report = {
  say(line: string): void
  /** A check of the whole repository has ended. */
  check(name: string, ok: boolean, seconds: number, output: string): void
  /** A test file has ended; its package's line follows with the last of them. */
  file(result: FileResult): void
  /** Something that should have run did not. */
  fault(name: string, why: string): void
  /** Names what was skipped, prints the closing line; the exit code. */
  close(): number
}

type Share = { left: number; passed: number; failed: number; skipped: number; seconds: number }

/**
 * The lines of a test run and their sum.
 *
 * @param expected the files that are to run
 */
export function createReport(write: (text: string) => void, expected: readonly TestFile[] = []): Report {
  let passed = 0
  let failed = 0
  const skipped: string[] = []
  const shares = new Map<string, Share>()
  for (const { package: name } of expected) {
    const share = shares.get(name) ?? { left: 0, passed: 0, failed: 0, skipped: 0, seconds: 0 }
    shares.set(name, share)
    share.left++
  }
  return {
    say: write,
    check(name, ok, seconds, output) {
      if (ok) passed++
      else failed++
      if (!ok) write(`\n${output.trimEnd()}`)
      write(`${ok ? '✓' : '✗'} ${name.padEnd(20)}${ok ? '' : 'failed  '}${seconds.toFixed(1)} s`)
    },
    file(result) {
      const all = countOf(result)
      passed += all.passed
      failed += all.failed
      for (const { name, why } of result.skipped) skipped.push(`${result.file.path}: ${name}: ${why}`)
      if (all.failed > 0) write(failureText(result))
      const share = shares.get(result.file.package)
      if (share === undefined) return
      share.left--
      share.passed += all.passed
      share.failed += all.failed
      share.skipped += result.skipped.length
      share.seconds += result.seconds
      if (share.left === 0) write(packageLine(result.file.package, share))
    },
    fault(name, why) {
      failed++
      write(`✗ ${name.padEnd(20)}${why}`)
    },
    close() {
      for (const line of skipped) write(`- skipped: ${line}`)
      write(`${passed} passed, ${failed} failed, ${skipped.length} skipped`)
      return failed === 0 ? 0 : 1
    }
  }
}

/** A fault that no assertion shows counts as one that failed. */
export function countOf({ passed, failed, faults }: FileResult): { passed: number; failed: number } {
  return { passed, failed: failed + faults.length }
}

function packageLine(name: string, { passed, failed, skipped, seconds }: Share): string {
  const more = `${failed === 0 ? '' : `, ${failed} failed`}${skipped === 0 ? '' : `, ${skipped} skipped`}`
  return `${failed === 0 ? '✓' : '✗'} ${name.padEnd(20)}${String(passed).padStart(6)} passed${more}  ${seconds.toFixed(1)} s`
}

/** All that is to be known of a file that failed: what its assertions said, its faults, what it printed, and how to run it alone. */
export function failureText({ file, failures, faults, other, errors }: FileResult): string {
  const lines = [`\n✗ ${file.path}`]
  for (const { name, diagnostics } of failures) {
    lines.push(`  not ok ${name}`)
    if (diagnostics !== null && diagnostics !== undefined) lines.push(indent(stringify(diagnostics), '    '))
  }
  for (const fault of faults) lines.push(`  ${fault}`)
  for (const [title, text] of [
    ['standard output', other],
    ['standard error', errors]
  ] as const)
    if (text.trim() !== '') lines.push(`  ${title}:`, indent(text, '    '))
  lines.push(`  alone: ${commandFor(file)}\n`)
  return lines.join('\n')
}

/** The command that runs one file alone. */
export function commandFor(file: TestFile): string {
  return `npm test -- ${file.path}`
}

function indent(text: string, by: string): string {
  return text.trimEnd().replace(/^(?=.)/gm, by)
}
