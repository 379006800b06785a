import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { REPOSITORY } from '../src/repository.ts'
import { listChecks } from '../src/test-run/checks.ts'
import { createChildren } from '../src/test-run/child.ts'
import { select } from '../src/test-run/index.ts'
import { withInterruption } from '../src/test-run/interruption.ts'
import { runCli, runs, startCli } from './helpers/cli.ts'
import { fixtureRepo } from './helpers/fixture-repo.ts'

t.test('what a run is of', async (t) => {
  const folder = t.testdir()
  await fixtureRepo(folder, {
    'apps/one/test/a.test.ts': '',
    'apps/two/test/b.test.ts': '',
    'apps/two/test/c.test.ts': ''
  })
  const chosen = async (...args: string[]) => {
    const { packages, files, whole, checked } = await select(folder, args)
    return [packages.map((p) => p.folder), files.map((f) => f.inPackage), whole, checked]
  }
  t.same(await chosen(), [['apps/one', 'apps/two'], ['test/a.test.ts', 'test/b.test.ts', 'test/c.test.ts'], true, true])
  t.same(await chosen('two'), [['apps/two'], ['test/b.test.ts', 'test/c.test.ts'], false, true])
  t.same(await chosen('b.test.ts'), [[], ['test/b.test.ts'], false, false], 'a file alone needs no checks')
  t.same(await chosen('one', 'c.test.ts'), [['apps/one'], ['test/a.test.ts', 'test/c.test.ts'], false, true])
  t.same(await chosen('one', 'a.test.ts'), [['apps/one'], ['test/a.test.ts'], false, true], 'each file once')
  await t.rejects(select(folder, ['three']), /three is no package: there are apps\/one, apps\/two/)
  await t.rejects(select(folder, ['x.test.ts']), /x\.test\.ts is no test file of apps\/one, apps\/two/)
})

t.test('types are checked for all packages at once, and a fault names its file', async (t) => {
  const folder = t.testdir()
  await fixtureRepo(folder, { 'apps/one/test/a.test.ts': 't.ok(1)', 'packages/two/test/b.test.ts': 't.ok(2)' })
  const options = { extends: join(REPOSITORY, 'tsconfig.base.json'), include: ['apps/*/test', 'packages/*/test'] }
  const compilerOptions = { typeRoots: [join(REPOSITORY, 'node_modules/@types')] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ ...options, compilerOptions }))
  const children = createChildren(folder, join(REPOSITORY, 'node_modules/.bin'))
  const types = listChecks(children, folder).find((check) => check.name === 'types')!
  t.same(await types.run(), { ok: true, output: '' })
  await writeFile(join(folder, 'packages/two/test/b.test.ts'), 'export const two: number = "two"\n')
  const { ok, output } = await types.run()
  t.equal(ok, false)
  t.match(output, /^packages\/two\/test\/b\.test\.ts\(1,14\): error TS2322/m)
})

t.test('one file, from the command line', async (t) => {
  const { code, out, errors } = await runCli(['test', 'deadline/test/deadline.test.ts'], { SKERRY_HOME: t.testdir() })
  t.equal(code, 0, errors + out)
  t.match(out, /✓ @skerry\/deadline +\d+ passed/)
  t.match(out, /^[1-9]\d* passed, 0 failed, 0 skipped$/m)
  t.notMatch(out, /types|boundaries/)
})

t.test('a signal ends a run with 130, after its work has ended', async (t) => {
  const said: string[] = []
  let ended = false
  const running = withInterruption(
    (line) => said.push(line),
    async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      ended = true
      return 0
    }
  )
  process.emit('SIGINT', 'SIGINT')
  t.equal(await running, 130)
  t.ok(ended)
  t.same(said, ['interrupted'])
  t.equal(
    await withInterruption(
      () => undefined,
      async () => 3
    ),
    3
  )
})

t.test('an interrupted command ends what it runs', async (t) => {
  const child = startCli(['test', 'packages/cli/test/journey.test.ts'], { SKERRY_HOME: t.testdir() })
  let out = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk
  })
  const exited = new Promise((resolve) => child.once('close', resolve))
  let file: { pid: number } | undefined
  await waitFor(async () => {
    file = (await childrenOf(child.pid!)).find(({ command }) => command.includes('journey.test.ts'))
    return file !== undefined
  })
  child.kill('SIGINT')
  t.equal(await exited, 130, out)
  t.notOk(await runs(file!.pid))
  t.match(out, /^interrupted$/m)
  t.notMatch(out, /passed/)
})

/** A process's children with their command lines. */
async function childrenOf(parent: number): Promise<{ pid: number; command: string }[]> {
  const found: { pid: number; command: string }[] = []
  for (const entry of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '')
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) !== parent) continue
    found.push({ pid: Number(entry), command: await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '') })
  }
  return found
}
