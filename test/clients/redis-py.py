"""What redis-py must see of the proxy: every function below is a case, named by its first line.

Called with the proxy's port. Prints one JSON line per case: its name, and the traceback where it failed.
"""

import inspect
import json
import sys
import time
import traceback

import redis

PORT = int(sys.argv[1])
# Nothing that is waited for takes so long, s.
LIMIT = 30


def connect(**options):
    return redis.Redis(host="127.0.0.1", port=PORT, **options)


def raises(kind, text, work):
    try:
        work()
    except kind as error:
        assert type(error) is kind, type(error)
        assert text in str(error), error
    else:
        raise AssertionError(f"no {kind.__name__}")


def until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# The next messages of a subscriber, without confirmations: (type, pattern, channel, data).
def gather(p, count):
    found = []
    while len(found) < count:
        message = p.get_message(timeout=LIMIT)
        assert message is not None, found
        if not message["type"].endswith("subscribe"):
            found.append((message["type"], message["pattern"], message["channel"], message["data"]))
    return found


def commands():
    """gives commands of every kind their replies"""
    r = connect(decode_responses=True)
    assert r.ping() is True
    assert r.set("s", "v", ex=100) is True
    assert r.set("s", "w", nx=True) is None
    assert r.ttl("s") == 100
    assert r.incrby("n", 7) == 7
    assert r.rpush("l", "a", "b", "c") == 3
    assert r.lrange("l", 0, -1) == ["a", "b", "c"]
    assert r.sadd("set", "a", "b") == 2
    assert r.smembers("set") == {"a", "b"}
    assert r.zadd("z", {"a": 1.5, "b": 2}) == 2
    assert r.zrange("z", 0, -1, withscores=True) == [("a", 1.5), ("b", 2.0)]
    assert r.expire("z", 50) is True
    assert r.type("z") == "zset"
    assert r.setbit("bits", 7, 1) == 0
    assert r.bitcount("bits") == 1
    assert r.pfadd("hll", "a", "b") == 1
    assert r.pfcount("hll") == 2
    assert r.geoadd("geo", (13.361389, 38.115556, "Palermo")) == 1
    assert r.dbsize() == 8
    assert r.flushall() is True


def hashes():
    """keeps hashes"""
    r = connect(decode_responses=True)
    assert r.hset("h", mapping={"f": "1", "g": "2"}) == 2
    assert r.hgetall("h") == {"f": "1", "g": "2"}
    assert r.hmget("h", ["f", "none"]) == ["1", None]
    assert r.hincrbyfloat("h", "f", 0.5) == 1.5
    assert r.hsetnx("h", "f", "x") == 0
    assert dict(r.hscan_iter("h")) == {"f": "1.5", "g": "2"}
    assert r.flushall() is True


def streams():
    """keeps streams, with groups"""
    r = connect(decode_responses=True)
    ids = [r.xadd("x", {"i": i}) for i in range(5)]
    assert r.xlen("x") == 5
    assert r.xrange("x", count=1) == [(ids[0], {"i": "0"})]
    assert r.xread({"x": ids[3]}) == [["x", [(ids[4], {"i": "4"})]]]
    assert r.xgroup_create("x", "g", id="0") is True
    [[name, entries]] = r.xreadgroup("g", "consumer", {"x": ">"}, count=2)
    assert (name, [i for i, _ in entries]) == ("x", ids[:2])
    assert r.xack("x", "g", *ids[:2]) == 2
    assert r.xinfo_stream("x")["length"] == 5
    assert r.xinfo_groups("x")[0]["last-delivered-id"] == ids[1]
    raises(redis.ResponseError, "BUSYGROUP", lambda: r.xgroup_create("x", "g"))
    assert r.flushall() is True


def many_slots():
    """reads and writes keys of many slots at once"""
    r = connect(decode_responses=True)
    keys = [f"k:{i}" for i in range(200)]
    assert r.mset({key: i for i, key in enumerate(keys)}) is True
    assert r.mget(keys + ["none"]) == [str(i) for i in range(200)] + [None]
    assert r.exists(*keys, "none", "k:0") == 201
    assert r.touch(*keys) == 200
    assert r.unlink(*keys[:100]) == 100
    assert r.delete(*keys) == 100


def pipelines():
    """gives each command of a pipeline its own reply, errors too"""
    r = connect(decode_responses=True)
    pipe = r.pipeline(transaction=False)
    for i in range(1000):
        pipe.incrby(f"p:{i}", i)
    pipe.lpush("p:0", "x")
    pipe.mget("p:1", "p:999")
    replies = pipe.execute(raise_on_error=False)
    assert replies[:1000] == list(range(1000))
    assert isinstance(replies[1000], redis.ResponseError) and "WRONGTYPE" in str(replies[1000])
    assert replies[1001] == ["1", "999"]
    assert r.flushall() is True


def scans():
    """walks the whole keyspace with scan_iter"""
    r = connect(decode_responses=True)
    pipe = r.pipeline(transaction=False)
    for i in range(3000):
        pipe.set(f"scan:{i}", i)
    pipe.sadd("other", "x")
    pipe.execute()
    assert len(set(r.scan_iter())) == 3001
    assert set(r.scan_iter(match="scan:12*", count=500)) == {
        f"scan:{i}" for i in range(3000) if str(i).startswith("12")
    }
    assert set(r.scan_iter(_type="set")) == {"other"}
    assert len(r.keys("scan:*")) == 3000
    assert r.randomkey() is not None
    assert r.flushall() is True
    assert list(r.scan_iter()) == []


def scripts():
    """runs scripts by EVALSHA, loading them where they are missing"""
    r = connect(decode_responses=True)
    script = r.register_script('redis.call("SET", KEYS[1], ARGV[1]) return redis.call("INCR", KEYS[2])')
    for i in range(20):
        assert script(keys=[f"{{{i}}}k", f"{{{i}}}n"], args=["v"]) == 1
        assert script(keys=[f"{{{i}}}k", f"{{{i}}}n"], args=["v"]) == 2
    assert r.script_exists(script.sha) == [True]
    assert r.script_flush() is True
    assert r.script_exists(script.sha) == [False]
    raises(redis.exceptions.NoScriptError, "", lambda: r.evalsha(script.sha, 0))
    assert script(keys=["{0}k", "{0}n"], args=["v"]) == 3
    raises(redis.ResponseError, "boom", lambda: r.eval('return redis.error_reply("boom")', 0))
    assert r.flushall() is True


def raw_bytes():
    """keeps bytes as they are"""
    r = connect()
    key, value = b"\0\r\n\xff$", bytes(range(256)) * 4
    assert r.set(key, value) is True
    assert r.get(key) == value
    assert r.mget(key, b"none") == [value, None]
    assert r.restore(b"copy", 0, r.dump(key)) == b"OK"
    assert r.get(b"copy") == value
    assert r.flushall() is True


def errors():
    """raises the exceptions that a server's errors stand for"""
    r = connect()
    r.set("s", "v")
    raises(redis.ResponseError, "WRONGTYPE", lambda: r.lpush("s", "x"))
    raises(redis.ResponseError, "unknown command", lambda: r.execute_command("NONSENSE", "a"))
    raises(redis.ResponseError, "wrong number of arguments", lambda: r.execute_command("GET"))
    raises(redis.ResponseError, "not an integer", lambda: r.incr("s"))
    raises(redis.ResponseError, "WRONGPASS", lambda: r.execute_command("AUTH", "nobody", "x"))
    assert r.rename("s", "other") is True
    assert r.rename("other", "s") is True
    assert r.blpop(["q:1", "q:2"], timeout=0.01) is None
    r.rpush("q:2", "x")
    assert r.brpop(["q:1", "q:2"], timeout=1) in ((b"q:2", b"x"), ("q:2", "x"))
    raises(redis.ResponseError, "CROSSSLOT", lambda: r.pipeline().set("a", 1).set("b", 1).execute())
    assert r.pipeline().set("{t}a", 1).incr("{t}a").get("{t}b").execute() == [True, 2, None]
    assert r.transaction(lambda pipe: pipe.multi() or pipe.incr("{t}a"), "{t}a") == [3]
    assert r.flushall() is True


def connection():
    """names its connection, and is told of its own"""
    r = connect(client_name="the-name", decode_responses=True)
    assert r.client_getname() == "the-name"
    mine = r.client_info()
    assert int(mine["id"]) == r.client_id()
    assert [c["name"] for c in r.client_list() if int(c["id"]) == int(mine["id"])] == ["the-name"]
    assert r.info()["db0"] if r.set("a", 1) else False
    info = r.info("server")
    assert info.get("redis_mode", info.get("server_mode")) == "standalone"
    assert r.info("cluster")["cluster_enabled"] == 0
    assert r.config_get("maxmemory") == {"maxmemory": "0"}
    assert r.command_count() > 200
    assert r.command()["get"]["arity"] == 2
    assert len(r.time()) == 2
    assert r.echo("text") == "text"
    other = connect(client_name="other")
    assert other.ping() is True
    [victim] = [c["id"] for c in r.client_list() if c["name"] == "other"]
    assert r.client_kill_filter(_id=victim) == 1
    assert "other" not in [c["name"] for c in r.client_list()]
    assert r.memory_usage("a") > 0
    assert r.object("encoding", "a") == "int"
    assert r.slowlog_len() >= 0
    assert isinstance(r.slowlog_get(), list)
    assert r.flushall() is True


def subscriptions():
    """hears channels and patterns, and is told how many others do"""
    r = connect(decode_responses=True)
    p = r.pubsub()
    p.subscribe("a", "b")
    p.psubscribe("a*")
    confirmed = [p.get_message(timeout=LIMIT) for _ in range(3)]
    assert [(m["type"], m["channel"], m["data"]) for m in confirmed] == [
        ("subscribe", "a", 1),
        ("subscribe", "b", 2),
        ("psubscribe", "a*", 3),
    ]
    assert sorted(r.pubsub_channels()) == ["a", "b"]
    assert r.pubsub_channels("a*") == ["a"]
    assert r.pubsub_numsub("a", "b", "c") == [("a", 1), ("b", 1), ("c", 0)]
    assert r.pubsub_numpat() == 1
    assert r.publish("a", "1") == 2
    assert r.publish("b", "2") == 1
    assert r.publish("c", "3") == 0
    # What is heard of different channels comes over different nodes, in any order.
    assert sorted(gather(p, 3), key=str) == [
        ("message", None, "a", "1"),
        ("message", None, "b", "2"),
        ("pmessage", "a*", "a", "1"),
    ]
    p.ping("text")
    assert p.get_message(timeout=LIMIT)["data"] == "text"
    p.unsubscribe("a")
    p.punsubscribe()
    p.unsubscribe()
    left = [p.get_message(timeout=LIMIT) for _ in range(3)]
    assert [(m["type"], m["channel"], m["data"]) for m in left] == [
        ("unsubscribe", "a", 2),
        ("punsubscribe", "a*", 1),
        ("unsubscribe", "b", 0),
    ]
    assert not p.subscribed
    assert r.publish("a", "4") == 0
    p.close()


def listening():
    """listens without being told of its subscriptions, to bytes of every kind"""
    r = connect()
    p = r.pubsub(ignore_subscribe_messages=True)
    p.subscribe("bytes")
    texts = [bytes([n]) * n for n in range(256)] + [b"x" * 1000000]
    # Confirmations are hidden: the count of receivers tells when it is subscribed.
    until(lambda: r.publish("bytes", texts[0]) == 1)
    for text in texts[1:]:
        assert r.publish("bytes", text) == 1
    heard = []
    for message in p.listen():
        heard.append(message["data"])
        if len(heard) == len(texts):
            break
    assert heard == texts
    p.close()


def handlers():
    """has messages handled in a thread of its own"""
    r = connect(decode_responses=True)
    p = r.pubsub(ignore_subscribe_messages=True)
    heard = []
    p.subscribe(**{"in:thread": lambda message: heard.append(message["data"])})
    p.psubscribe(**{"in:t*": lambda message: heard.append(message["pattern"])})
    thread = p.run_in_thread(sleep_time=0.01)
    until(lambda: r.pubsub_numpat() == 1 and r.pubsub_numsub("in:thread") == [("in:thread", 1)])
    for n in range(10):
        assert r.publish("in:thread", n) == 2
    until(lambda: len(heard) == 20)
    assert [one for one in heard if one != "in:t*"] == [str(n) for n in range(10)]
    thread.stop()
    thread.join(LIMIT)
    assert not thread.is_alive()


def notifications():
    """hears of the keys of all shards, once each"""
    r = connect(decode_responses=True)
    assert r.config_set("notify-keyspace-events", "KEA") is True
    spaces, events = r.pubsub(), r.pubsub()
    spaces.psubscribe("__keyspace@0__:key:*")
    events.subscribe("__keyevent@0__:expired", "__keyevent@0__:del")
    spaces.get_message(timeout=LIMIT)
    for _ in range(2):
        events.get_message(timeout=LIMIT)
    keys = [f"key:{n}" for n in range(50)]
    for key in keys:
        r.set(key, "v")
    assert r.delete(*keys[:25]) == 25
    for key in keys[25:]:
        assert r.pexpire(key, 50) == 1
    heard = {}
    for kind, pattern, channel, event in gather(spaces, 50 + 25 + 25 * 2):
        assert (kind, pattern) == ("pmessage", "__keyspace@0__:key:*")
        heard.setdefault(channel.removeprefix("__keyspace@0__:"), []).append(event)
    assert heard == {
        **{key: ["set", "del"] for key in keys[:25]},
        **{key: ["set", "expire", "expired"] for key in keys[25:]},
    }
    ended = gather(events, 50)
    assert sorted(ended, key=str) == sorted(
        [("message", None, "__keyevent@0__:del", key) for key in keys[:25]]
        + [("message", None, "__keyevent@0__:expired", key) for key in keys[25:]],
        key=str,
    )
    r.set("key:last", "v")
    assert gather(spaces, 1) == [("pmessage", "__keyspace@0__:key:*", "__keyspace@0__:key:last", "set")]
    spaces.close()
    events.close()
    assert r.config_set("notify-keyspace-events", "") is True
    assert r.flushall() is True


def cluster():
    """is told that cluster mode is off, as RedisCluster"""
    kind = redis.exceptions.RedisClusterException
    raises(kind, "Cluster mode is not enabled", lambda: redis.RedisCluster(host="127.0.0.1", port=PORT))


CASES = [
    one
    for name, one in list(globals().items())
    if inspect.isfunction(one) and one.__doc__ and one.__module__ == __name__
]

for case in CASES:
    result = {"name": case.__doc__.splitlines()[0]}
    try:
        case()
    except BaseException:
        result["failure"] = traceback.format_exc()
    print(json.dumps(result), flush=True)
