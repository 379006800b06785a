import { setTimeout as delay } from 'node:timers/promises'
import { type Instance, newIdentity, startInstance, type Where } from './setup.ts'

let instance: Instance | undefined

process.on('disconnect', () => process.exit())

process.on('message', async (message: { start?: Where; key?: object; memory?: true; stop?: true }) => {
  if (message.start !== undefined) {
    instance = await startInstance({ teardown() {} }, message.start, {
      events: true,
      identity: newIdentity(message.key)
    })
    process.send?.({ url: instance.url })
  }
  if (message.memory) {
    // Twice, with time in between for what is let go of by callbacks.
    globalThis.gc?.()
    await delay(50)
    globalThis.gc?.()
    process.send?.({ memory: process.memoryUsage() })
  }
  if (message.stop) {
    await instance?.close()
    process.send?.({})
    process.disconnect?.()
  }
})
