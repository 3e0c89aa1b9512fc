# What `npm start` runs, with production dependencies only: src/main.ts, which Node runs as it is.
#
#   docker build -t slotless .
#   docker run --rm -p 6379:6379 slotless --cluster node1:6379,node2:6379
#
# In a container the proxy must listen on all its addresses; what is published is decided outside.
FROM node:26-bookworm-slim AS dependencies
WORKDIR /slotless
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:26-bookworm-slim
ENV NODE_ENV=production \
    SLOTLESS_LISTEN=0.0.0.0:6379 \
    SLOTLESS_ADMIN=0.0.0.0:9121
WORKDIR /slotless
COPY --from=dependencies /slotless/node_modules node_modules
COPY package.json proxy.yaml LICENSE ./
COPY src src
USER node
EXPOSE 6379 9121
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "src/main.ts"]
