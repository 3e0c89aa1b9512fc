"""What channels.test.ts has done by Django Channels: a layer at each of two ports, and what one sends the other gets."""

import asyncio
import sys
import time

from channels_redis.pubsub import RedisPubSubChannelLayer
from redis import asyncio as redis

# Nothing that is waited for takes so long, s.
LIMIT = 30


async def main(ports):
    here, there = [RedisPubSubChannelLayer(hosts=[f"redis://127.0.0.1:{port}"]) for port in ports]

    async def receive(layer, channel, count=1):
        return [await asyncio.wait_for(layer.receive(channel), LIMIT) for _ in range(count)]

    # The layer does not wait for the server to confirm what it subscribes to.
    asker = redis.Redis(port=int(ports[0]))

    async def subscribed(count, names):
        end = time.monotonic() + LIMIT
        while any(n != count for _, n in await asker.pubsub_numsub(*names)):
            assert time.monotonic() < end, names
            await asyncio.sleep(0.01)

    # To one.
    one = await there.new_channel()
    await subscribed(1, [one])
    message = {"type": "text", "text": "to one", "bytes": bytes(range(256))}
    await here.send(one, message)
    assert await receive(there, one) == [message]

    # To groups, in any slot, from either side.
    members = [(layer, await layer.new_channel()) for layer in (here, here, there, there)]
    groups = [f"group.{n}" for n in range(10)]
    for group in groups:
        for layer, channel in members:
            await layer.group_add(group, channel)
    await subscribed(2, [f"asgi__group__{group}" for group in groups])
    await subscribed(1, [channel for _, channel in members])
    for layer in (here, there):
        for group in groups:
            for n in range(10):
                await layer.group_send(group, {"type": group, "n": n})
        for other, channel in members:
            heard = await receive(other, channel, 100)
            for group in groups:
                assert [m["n"] for m in heard if m["type"] == group] == list(range(10)), heard

    # Who has left is not told.
    layer, channel = members[2]
    for group in groups:
        await layer.group_discard(group, channel)
    for group in groups:
        await here.group_send(group, {"type": "last"})
    assert len(await receive(*members[3], 10)) == 10
    await here.send(channel, {"type": "own"})
    assert await receive(layer, channel) == [{"type": "own"}]
    for layer in (here, there):
        await layer.flush()
    await asker.close()
    print("all done")


asyncio.run(main(sys.argv[1:]))
