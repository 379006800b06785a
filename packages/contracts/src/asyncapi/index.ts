export { type DescribedEvent, describeEvent, eventSchemaOf } from './described.ts'
export { type AsyncApiDocument, type AsyncApiOptions, asyncApiOf } from './document.ts'
