import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { test } from 'tap'
import { parseRss, parseStat, treeOf, usageOf } from '../src/gateway/process-tree.ts'

test('a stat line is read behind a name with spaces and brackets', async (t) => {
  const line = '42 (a (b) c) S 7 42 42 0 -1 4194304 900 0 0 0 1234 66 5 5 20 0 11 0 100 1000 200 18446744073709551615'
  t.strictSame(parseStat(line), { parent: 7, ticks: 1_300 })
  t.throws(() => parseStat('42 (cut off) S'), /not a stat line/)
})

test('resident memory is in kilobytes; kernel threads have none', async (t) => {
  t.equal(parseRss('Name:\tx\nVmHWM:\t    900 kB\nVmRSS:\t     512 kB\n'), 524_288)
  t.equal(parseRss('Name:\tkthreadd\n'), 0)
})

test('a tree has children of children and nobody else', async (t) => {
  const parents = new Map([
    [2, 1],
    [3, 2],
    [4, 3],
    [5, 1],
    [6, 2]
  ])
  t.strictSame(treeOf(2, parents).sort(), [2, 3, 4, 6])
})

test('the usage of a process includes its children', async (t) => {
  // It ends with its standard input, so with this process.
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume(); console.log("up")'])
  await once(child.stdout, 'data')
  const rss = async (pid: number) => parseRss(await readFile(`/proc/${pid}/status`, 'utf8'))
  const both = await usageOf(process.pid)
  // Half, because memory of both comes and goes while it is read.
  t.ok(both.rssBytes > (await rss(process.pid)) + (await rss(child.pid!)) / 2)
  t.ok(both.cpuSeconds > (await usageOf(child.pid!)).cpuSeconds)
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
  await t.rejects(usageOf(child.pid!), /is gone/)
})
