import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'

const bench = (...args: string[]) => {
  const main = join(import.meta.dirname, '../src/main.ts')
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

t.test('help is printed, and nothing is measured for it', async (t) => {
  for (const name of ['system', 'bodies', 'gateway'])
    t.match(bench(name, '--help'), { status: 0, stdout: /^npm run bench/ }, name)
  t.match(bench('--help'), { status: 0, stdout: /^npm run bench/ })
})

t.test('what there is not is refused with the help', async (t) => {
  t.match(bench('speed'), { status: 1, stdout: '', stderr: /^npm run bench/ })
  t.match(bench('posts', '--fast'), { status: 1, stdout: '', stderr: /^npm run bench/ })
})
