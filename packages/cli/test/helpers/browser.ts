import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { waitFor } from '@skerry/testing'

/** Where Debian's Chromium is, if anywhere. */
export async function findChromium(): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const file = join(folder, 'chromium')
    const there = await access(file, constants.X_OK).then(
      () => true,
      () => false
    )
    if (there) return file
  }
  return undefined
}

const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-extensions']
]

type Tap = { teardown(work: () => Promise<void>): unknown }

/** Opens a page in a browser that knows nothing yet; it ends with the test. Answers what it has printed so far. */
export async function openPage(t: Tap, chromium: string, url: string): Promise<() => string> {
  const profile = await mkdtemp(join(tmpdir(), 'skerry-chromium-'))
  // Its children are its process group, which ends as a whole.
  const browser = spawn(chromium, [...FLAGS, `--user-data-dir=${profile}`, '--remote-debugging-port=0', url], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true
  })
  const gone = once(browser, 'exit')
  let output = ''
  browser.stderr.on('data', (part) => {
    output += part
  })
  t.teardown(async () => {
    if (browser.exitCode === null && browser.signalCode === null) process.kill(-browser.pid!, 'SIGKILL')
    await gone
    // Its children may still be writing when it has gone.
    await waitFor(() =>
      rm(profile, { recursive: true, force: true }).then(
        () => true,
        () => false
      )
    )
  })
  return () => output
}
