"""Keys that OpenClaw knows and this project does not use, one set for each section that is served.

A configuration written for OpenClaw works as it stands: these are accepted and named once in the log,
where any other unknown key is a mistake.
"""

from __future__ import annotations


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


SECTIONS = _keys("""
    access accessGroups acp approvals attachments audio audit auth bindings broadcast browser canvas
    canvasHost channels cli cloudWorkers commands commitments crestodian cron desktop diagnostics
    discord discovery hooks identity imessage media memory messages meta multiAgent nodeHost nodes
    plugins presence proxy routing secrets security signal skills slack surfaces systemAgent talk
    telegram transcripts tts ui update web whatsapp wizard worktrees
""")

GATEWAY = _keys("""
    allowRealIpFallback channelHealthCheckMinutes channelMaxRestartsPerHour
    channelStaleEventThresholdMinutes cliAgents handshakeTimeoutMs nodes publicOrigin push reload roles
    tailscale terminal tls webchat
""")
AUTH = _keys("allowTailscale identityScopes")
TRUSTED_PROXY = _keys("deviceAutoApprove allowedOrigins")
REMOTE = _keys("enabled remotePort sshHostKeyPolicy sshIdentity sshTarget tlsFingerprint transport")
HTTP = _keys("securityHeaders")
RESPONSES = _keys("files images maxBodyBytes maxUrlParts")
CONTROL_UI = _keys("""
    allowExternalEmbedUrls allowInsecureAuth automaticallyFetchFavicons basePath chatMessageMaxWidth
    communityInvite dangerouslyAllowHostHeaderOriginFallback dangerouslyDisableDeviceAuth embedSandbox
    enabled environment experimental github root toolTitles
""")

AGENTS = _keys("ownership")
_AGENT = """
    agentRuntime bootstrapMaxChars bootstrapTotalMaxChars contextInjection contextLimits contextTokens
    cwd embeddedAgent embeddedHarness embeddedPi experimental fastModeDefault heartbeat humanDelay memory
    memorySearch modelPolicy models plugins sandbox skills skillsLimits
    thinkingDefault toolProgressDetail tts typingIntervalSeconds typingMode utilityModel voiceModel
"""
AGENT = _keys(_AGENT) | _keys("agentDir description groupChat runtime")
AGENT_DEFAULTS = _keys(_AGENT) | _keys("""
    additionalSystemPrompt blockStreamingBreak blockStreamingChunk blockStreamingCoalesce
    blockStreamingDefault bootstrapPromptTruncationWarning cliBackends compaction contextPruning
    elevatedDefault envelopeElapsed envelopeTimestamp envelopeTimezone imageGenerationModel
    imageMaxDimensionPx imageModel imageQuality llm localService
    mediaGenerationAutoProviderFallback
    mediaMaxMb mediaModels musicGenerationModel pdfMaxBytesMb pdfMaxPages pdfModel promptOverlays
    repoRoot runRetries silentReply silentReplyRewrite skipBootstrap skipOptionalBootstrapFiles
    startupContext systemAgent systemPromptOverride timeFormat videoGenerationModel
""")
IDENTITY = _keys("theme creature vibe")
PARAMS = _keys("""
    anthropicBeta cacheControlTtl cacheRetention chatTemplateKwargs chat_template_kwargs context1m
    extraBody extra_body fastMode fast_mode keepAlive keep_alive logit_bias metadata minP min_p numCtx
    num_ctx openaiWsWarmup provider repetition_penalty responsesCompactThreshold
    responsesServerCompaction serviceTier service_tier store textVerbosity text_verbosity think thinking
    toolStream tool_stream topK top_k transport user
""")

MODELS = _keys("bedrockDiscovery pricing proxy")
PROVIDER = _keys("""
    agentRuntime auth authHeader contextTokens contextWindow injectNumCtxForOpenAICompat localService
    maxTokens params region request
""")
MODEL = _keys("""
    agentRuntime baseUrl contextTokens headers mediaInput metadataSource params thinkingLevelMap
""")
COST = _keys("cacheRead cacheWrite tieredPricing")

SESSION = _keys("""
    agentToAgent dmScope groupScope heartbeatIdleMinutes identityLinks idleMinutes maxRecentTurns
    notifyOnCreate parentForkMaxTokens reset resetByChannel resetByType resetTriggers scope sendPolicy
    sharing store threadBindings transcriptRetentionDays typingIntervalSeconds typingMode writeLock
""")
MAINTENANCE = _keys("""
    archiveDashboardAfter coldStorage ephemeralAfter highWaterBytes maxDiskBytes mode preserveRecent pruneDays
    resetArchiveRetention rotateBytes
""")
LOGGING = _keys("consoleLevel consoleStyle file maxFileBytes redactPatterns redactSensitive")

TOOLS = _keys("""
    agentToAgent codeMode elevated experimental github links media message sandbox sessions_spawn
    swarm toolSearch toolsBySender
""")
EXEC = _keys("""
    applyPatch approvalRunningNoticeMs commandHighlighting grantExpiryDays host node notifyOnExit
    notifyOnExitEmptySuccess reviewer safeBinProfiles strictInlineEval
""")
SSRF_POLICY = _keys("allowRfc2544BenchmarkRange allowIpv6UniqueLocalRange")
WEB_FETCH = _keys("headers maxCharsCap provider useTrustedEnvProxy")
WEB_SEARCH = _keys("brave gemini grok kimi openaiCodex perplexity searxng")
LOOP_DETECTION = _keys("historySize warningThreshold criticalThreshold detectors")
SUBAGENTS = _keys("announceTimeoutMs delegationMode requireAgentId thinking")
MCP = _keys("sessionIdleTtlMs apps")
MCP_SERVER = _keys("auth clientCert clientKey codex oauth")
