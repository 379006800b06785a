import { DataConfigSchema, ServiceConfigSchema } from '@skerry/service'
import Type, { type Static } from 'typebox'

export const ConfigSchema = Type.Object({
  ...ServiceConfigSchema.properties,
  ...DataConfigSchema.properties,
  /** Connections to MongoDB at most. */
  MONGO_POOL: Type.Integer({ minimum: 1, maximum: 1_000, default: 50 })
})
export type Config = Static<typeof ConfigSchema>
