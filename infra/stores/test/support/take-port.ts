import { freePort } from '../../src/index.ts'

// Takes a port and does not use it, until its parent ends it.
const [from, to] = process.argv.slice(2).map(Number) as [number, number]
process.send?.(await freePort([from, to]))
process.once('disconnect', () => process.exit())
