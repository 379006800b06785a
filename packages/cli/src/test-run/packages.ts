import { glob, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'

/** A package of the workspace: its name, its folder from the root, and whether it has tests. */
export type Package = { name: string; folder: string; hasTests: boolean }

/** All packages of the workspace, by folder. */
export async function findPackages(repo: string): Promise<Package[]> {
  const found: Package[] = []
  for await (const path of glob('{apps/*,packages/*,infra/*}/package.json', { cwd: repo })) {
    const { name } = JSON.parse(await readFile(join(repo, path), 'utf8')) as { name: string }
    const folder = dirname(path)
    const tests = await Array.fromAsync(glob('test/**/*.test.ts', { cwd: join(repo, folder) }))
    found.push({ name, folder: relative('.', folder), hasTests: tests.length > 0 })
  }
  return found.sort((a, b) => a.folder.localeCompare(b.folder))
}

/** The packages that are named: `@skerry/auth`, `auth` or `apps/auth`. All when none is named; throws for a name that is none's. */
export function choosePackages(packages: readonly Package[], names: readonly string[]): readonly Package[] {
  if (names.length === 0) return packages
  return names.map((name) => {
    const found = packages.find((p) => [p.name, p.name.replace('@skerry/', ''), p.folder].includes(name))
    if (found === undefined)
      throw new Error(`${name} is no package: there are ${packages.map((p) => p.folder).join(', ')}`)
    return found
  })
}
