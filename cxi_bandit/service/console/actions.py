"""Propose, approve, roll back: what changes a roll-out, each by the engine's own verb and under a person's name."""

from collections.abc import Mapping
from typing import Any

from litestar.handlers import HTTPRouteHandler

from cxi_bandit.bootstrap import Engine
from cxi_bandit.domain.access import Scope
from cxi_bandit.domain.errors import NotFound, WrongStep
from cxi_bandit.domain.promotion import Promotion, Step
from cxi_bandit.engine.again import looking_again
from cxi_bandit.engine.candidacy import Proposal
from cxi_bandit.engine.promote import approve, propose
from cxi_bandit.engine.rollback import live_before, revision_of, roll_back
from cxi_bandit.service.console.confirming import Action, Asked, Done, Form, confirmed, done
from cxi_bandit.service.console.evaluations import candidate_version, expired, filed_report
from cxi_bandit.service.console.overriding import override_actions
from cxi_bandit.service.console.pages import Pages
from cxi_bandit.service.console.policy_facts import live_manifest
from cxi_bandit.service.console.reading import number_written, sentence
from cxi_bandit.service.promotions import known_policy


def action_pages(engine: Engine, pages: Pages) -> list[HTTPRouteHandler]:
    """The handlers, closed over what they need."""
    actions = (_proposing(engine), _approving(engine), _rolling_back(engine), *override_actions(engine))
    return [handler for action in actions for handler in confirmed(action, pages)]


def _proposing(engine: Engine) -> Action:
    def read(asked: Asked) -> Mapping[str, Any]:
        filed = filed_report(engine, asked.place["evaluation_id"])
        return {"filed": filed, "version": candidate_version(engine, filed), "expired": expired(engine, filed)}

    def act(asked: Asked, _: Form) -> Done:
        filed = filed_report(engine, asked.place["evaluation_id"])
        version = candidate_version(engine, filed)
        if version is None:
            raise WrongStep(f"the candidate is no version of {filed.policy}: install its manifest, and evaluate that")
        # Exactly what the report is about: anything else it says nothing of.
        proposal = Proposal(
            policy=known_policy(engine, filed.policy),
            version=version,
            model=filed.model_version,
            evaluation_id=filed.evaluation_id,
            author=asked.by,
            defects=filed.report.defects,
        )
        made = propose(proposal, engine.promoting, engine.clock())
        return done(made.policy, "proposed", promotion=made.promotion_id)

    return Action("/evaluations/{evaluation_id:int}/propose", Scope.PROPOSE, "propose.html", read, act)


def _approving(engine: Engine) -> Action:
    def promotion_of(asked: Asked) -> Promotion:
        policy, number = known_policy(engine, asked.place["name"]), asked.place["promotion_id"]
        if 1 <= number < 1 << 63 and (found := engine.store.releases.promotion(number)).policy == policy:
            return found
        raise NotFound("promotion", f"{str(number)[:20]} of {policy}")

    def read(asked: Asked) -> Mapping[str, Any]:
        promotion = promotion_of(asked)
        rollout = engine.store.releases.rollout(promotion.policy)
        judge = live_manifest(engine, engine.store.registry.versions(promotion.policy), rollout)
        return {
            "promotion": promotion,
            "open": promotion.step is Step.PROPOSED,
            "people": judge.gate.approvals,
            "shares": judge.rollout.canary_shares,
            "running": rollout.canary,
        }

    def act(asked: Asked, _: Form) -> Done:
        number = promotion_of(asked).promotion_id
        made = looking_again(lambda: approve(number, asked.by, engine.promoting, engine.clock()))
        return done(made.policy, "approved", promotion=made.promotion_id)

    path = "/policies/{name:str}/promotions/{promotion_id:int}/approve"
    return Action(path, Scope.APPROVE, "approve.html", read, act)


def _rolling_back(engine: Engine) -> Action:
    releases = engine.store.releases

    def read(asked: Asked) -> Mapping[str, Any]:
        policy = known_policy(engine, asked.place["name"])
        history = releases.history(policy)
        return {"policy": policy, "rollout": history[-1], "before": live_before(history), "history": history[-2::-1]}

    def act(asked: Asked, typed: Form) -> Done:
        policy, reason = known_policy(engine, asked.place["name"]), sentence(typed, "reason")
        # What the reader has looked at: sent twice, or by two people, the form takes nothing more back.
        seen = revision_of(policy, number_written(typed.get("seen", ""), "seen"), releases)
        to = number_written(typed["to"], "to") if typed.get("to") else None
        looking_again(lambda: roll_back(seen, to, releases, by=asked.by, at=engine.clock(), reason=reason))
        return done(policy, "rolled-back")

    return Action("/policies/{name:str}/rollback", Scope.APPROVE, "rollback.html", read, act)
