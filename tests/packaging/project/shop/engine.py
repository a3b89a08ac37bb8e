"""An engine that keeps no order at all."""


class Engine:
    in_memory = True

    def __init__(self, context):
        self.effect = context.effect

    async def handle(self, event):
        await self.effect(event)

    async def sweep(self):
        return 0
