// Scripts on stand-ins. A script may store the names of its keys, compare them, or answer with them; so it is shown
// the names its client knows, and only what the server is asked goes to the stand-ins:
//
//     EVAL "<PRELUDE>return redis.call('LPUSH', KEYS[1], KEYS[2])" 2 tmp:0 tmp:1 <its own arguments> a{1} b{2}
//                                                                    '- where it runs -'             '- as it is told -'
//     redis.call('LPUSH', 'a{1}', 'b{2}')   ->   LPUSH tmp:0 b{2}
//
// Which arguments are keys the server says itself, by COMMAND GETKEYS; where a name stands for other things as well, it
// is asked again with marks in their places. A key that was not declared is refused with
// the error that a node has for keys of others: here it would be looked for in the wrong place. So is every call when
// the server does not say which its keys are, unless it says that there are none, or that the call makes no sense.
//
// The prelude is one line and stands before the script's first, so lines in errors stay what they are. Only the line
// of a call in tail position (`return redis.call(...)`) is not to be found in Lua 5.1; it is told as the first.
//
// A function runs in the same way: its library's text becomes the script, registers what it has, and one is called.

import { hash } from 'node:crypto';

const REFUSED = 'ERR Script attempted to access a non local key in a cluster node';

const PRELUDE = `
local redis,server=(function(R,K,A)
  local stands,names,n,first={},{},#K,#A-#K
  for i=1,n do
    local name,as=A[first+i],K[i]
    stands[name]=as names[as]=name K[i]=name A[first+i]=nil
  end
  local sound={'has no key arguments','ERR Invalid ','Wrong number of args','arguments must be strings or integers','Please specify at least one argument'}
  local function keysOf(args,n) return R.pcall('COMMAND','GETKEYS',unpack(args,1,n)) end
  local function marked(args,n,places)
    local words,found={},{}
    for _,i in ipairs(places) do words[i]=args[i] args[i]='\\0'..i end
    local keys=keysOf(args,n)
    for i,word in pairs(words) do args[i]=word end
    if keys.err then return found end
    for _,key in ipairs(keys) do
      local i=tonumber(string.match(key,'^%z(%d+)$'))
      if i then found[#found+1]=i end
    end
    return found
  end
  local function keyPlaces(args,n,places,count)
    if #places==count then return places end
    local found=marked(args,n,places)
    if #found==count then return found end
    found={}
    for _,i in ipairs(places) do if #marked(args,n,{i})==1 then found[#found+1]=i end end
    return found
  end
  local function textOf(word) return type(word)=='number' and string.format('%.17g',word) or word end
  local function translated(args,n)
    local keys=keysOf(args,n)
    if keys.err then
      for _,why in ipairs(sound) do
        if string.find(keys.err,why,1,true) then return args end
      end
      return nil,keys
    end
    local counts,places,out={},{},{}
    for _,key in ipairs(keys) do
      if not stands[key] then return nil,{err='${REFUSED}'} end
      counts[key]=(counts[key] or 0)+1
      places[key]={}
    end
    for i=1,n do
      local word=textOf(args[i])
      local own=word~=nil and places[word]
      if own then own[#own+1]=i end
      out[i]=args[i]
    end
    for key,count in pairs(counts) do
      for _,i in ipairs(keyPlaces(args,n,places[key],count)) do out[i]=stands[key] end
    end
    return out
  end
  local function renamed(value)
    if type(value)=='string' then return names[value] or value end
    if type(value)~='table' then return value end
    local keyed={}
    for k,v in pairs(value) do
      value[k]=renamed(v)
      if names[k] then keyed[k]=value[k] end
    end
    for k,v in pairs(keyed) do value[k]=nil value[names[k]]=v end
    return value
  end
  local function pcalled(...)
    local n=select('#',...)
    local args,refusal=translated({...},n)
    if not args then return refusal end
    return renamed(R.pcall(unpack(args,1,n)))
  end
  local function called(...)
    local reply=pcalled(...)
    if type(reply)~='table' or not reply.err then return reply end
    local _,at=pcall(error,'',3)
    local line=tonumber(string.match(at,':(%d+): $'))
    if line then
      setmetatable(reply,{__newindex=function(t,k,v) rawset(t,k,k=='line' and line or v) end})
    end
    error(reply)
  end
  local shadow=setmetatable({call=called,pcall=pcalled},{__index=R})
  return shadow,rawget(_G,'server') and shadow
end)(redis,KEYS,ARGV);`
  .replace(/\s+/g, ' ')
  .trimStart();

/** Takes the place of what a library registers. */
const REGISTER = `local call__=(function(R)
  local callbacks={}
  rawset(R,'register_function',function(what,callback)
    if type(what)=='table' then callbacks[what.function_name]=what.callback else callbacks[what]=callback end
  end)
  return function(name) return (callbacks[name](KEYS,ARGV)) end
end)(redis);`.replace(/\s+/g, ' ');

/** What is evaluated instead, and how what it is answered with becomes what the original would say. */
export interface Shadowed {
  readonly text: Buffer;
  /** An error reply as the original's; any other as it is. */
  restore(reply: Buffer): Buffer;
}

/** A script by its text. */
export function shadowScript(text: Buffer): Shadowed {
  const at = firstLineOf(text);
  const shadowed = Buffer.concat([text.subarray(0, at), Buffer.from(PRELUDE), text.subarray(at)]);
  const sha = hash('sha1', text, 'hex');
  return {
    text: shadowed,
    restore: restoring(shadowed, ` script: ${sha}, on @user_script:`, 'user_script:'),
  };
}

/** A function by its library's text, with the flags it is registered with. */
export function shadowFunction(library: Buffer, name: string, flags: readonly string[]): Shadowed {
  const text = Buffer.concat([
    Buffer.from(
      `#!lua${flags.length === 0 ? '' : ` flags=${flags.join(',')}`}\n${PRELUDE}${REGISTER}(function() `,
    ),
    library.subarray(firstLineOf(library)),
    Buffer.from(`\nend)() return call__('${name}')`),
  ]);
  return { text, restore: restoring(text, ` script: ${name}, on @user_function:`, 'user_function:') };
}

/** Where the code begins: behind the line that says `#!lua`, if there is one. */
function firstLineOf(text: Buffer): number {
  return text.subarray(0, 2).equals(SHEBANG) ? text.indexOf('\n') + 1 : 0;
}

const SHEBANG = Buffer.from('#!');
const MINUS = 45;

function restoring(text: Buffer, where: string, chunk: string): (reply: Buffer) => Buffer {
  const shadow = ` script: ${hash('sha1', text, 'hex')}, on @user_script:`;
  return (reply) => {
    if (reply[0] !== MINUS) return reply;
    const [said, ...rest] = reply.toString('latin1').split(shadow);
    const message = said!.replaceAll('user_script:', () => chunk);
    return Buffer.from([message, ...rest].join(where), 'latin1');
  };
}
