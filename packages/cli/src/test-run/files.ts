import { glob, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'tap-yaml'
import type { Package } from './packages.ts'

/** A test file: its package, its path from the root and from the package, and how long it may take. */
export type TestFile = { package: string; folder: string; path: string; inPackage: string; timeoutMs: number }

/** What tap allows where .taprc says nothing. */
const DEFAULT_TIMEOUT_S = 30

/** All test files of packages, with the time-outs of their .taprc files, by path. */
export async function findTestFiles(repo: string, packages: readonly Package[]): Promise<TestFile[]> {
  const found: TestFile[] = []
  for (const { name, folder } of packages) {
    const cwd = join(repo, folder)
    const timeoutMs = (await timeoutOf(cwd)) * 1000
    for await (const inPackage of glob('test/**/*.test.ts', { cwd }))
      found.push({ package: name, folder, path: join(folder, inPackage), inPackage, timeoutMs })
  }
  return found.sort((a, b) => a.path.localeCompare(b.path))
}

async function timeoutOf(folder: string): Promise<number> {
  const text = await readFile(join(folder, '.taprc'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const { timeout } = (parse(text) ?? {}) as { timeout?: unknown }
  return typeof timeout === 'number' ? timeout : DEFAULT_TIMEOUT_S
}

/** The files of which one of the given paths names the end (`apps/auth/test/login.test.ts`, `login.test.ts`). Throws for one that names none. */
export function chooseFiles(files: readonly TestFile[], paths: readonly string[]): readonly TestFile[] {
  if (paths.length === 0) return files
  const chosen = new Set<TestFile>()
  for (const path of paths) {
    const matching = files.filter((f) => f.path === path || f.path.endsWith(`/${path.replace(/^\.?\//, '')}`))
    if (matching.length === 0) throw new Error(`${path} is no test file of ${packagesOf(files).join(', ')}`)
    for (const file of matching) chosen.add(file)
  }
  return files.filter((file) => chosen.has(file))
}

function packagesOf(files: readonly TestFile[]): string[] {
  return [...new Set(files.map((f) => f.folder))]
}
