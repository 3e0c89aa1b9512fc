export const fuzzNodes = async (_: unknown) => ({});
