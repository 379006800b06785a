import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { REPOSITORY } from '../../src/repository.ts'
import { findTestFiles, type TestFile } from '../../src/test-run/files.ts'
import { findPackages } from '../../src/test-run/packages.ts'
import { type FileResult, runFile } from '../../src/test-run/run-file.ts'

/** Sources of test files by path; `t` is imported already. */
export type Sources = Record<string, string>

/** A small workspace in a temporary folder: `apps/one` and what else the paths name, with the tap of this checkout. */
export async function fixtureRepo(folder: string, sources: Sources, timeoutS = 60): Promise<TestFile[]> {
  await symlink(join(REPOSITORY, 'packages/cli/node_modules'), join(folder, 'node_modules'))
  for (const [path, source] of Object.entries(sources)) {
    const [kind, name] = path.split('/') as [string, string]
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), `import t from 'tap'\n${source}\n`)
    await writeFile(join(folder, kind, name, 'package.json'), `{ "name": "@skerry/${name}", "type": "module" }`)
    await writeFile(join(folder, kind, name, '.taprc'), `timeout: ${timeoutS}\n`)
  }
  return findTestFiles(folder, await findPackages(folder))
}

/** Runs one test file with this source; its path in the fixture is `apps/one/test/it.test.ts`. */
export async function runSource(
  folder: string,
  source: string,
  options: { timeoutS?: number; signal?: AbortSignal; graceMs?: number; env?: Record<string, string> } = {}
): Promise<FileResult> {
  const [file] = await fixtureRepo(folder, { 'apps/one/test/it.test.ts': source }, options.timeoutS)
  const { signal = new AbortController().signal, graceMs = 200, env = {} } = options
  return runFile(file!, { repo: folder, env, signal, graceMs })
}
