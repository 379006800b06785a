export { type OpenApiDocument, type OpenApiOptions, openApiOf } from './document.ts'
export { houseErrors } from './operation.ts'
